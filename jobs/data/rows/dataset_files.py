"""The files of a dataset: inside its directory, without code, and without names of files elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import read_json

_FORBIDDEN = frozenset({".py", ".pkl", ".pickle", ".pt", ".bin"})
_SPLITS, _STATE = "dataset_dict.json", "state.json"
_MAX_LIST_BYTES = 16 << 20
_SPLIT = re.compile(r"\w[\w.-]{0,100}")


def checked_files(folder: Path) -> list[Path]:
    """Return all files of a dataset except hidden ones, sorted by their relative paths.

    Raises:
        InputError: there is none, one could run code, or one names or links to a file outside the directory.
    """
    paths = sorted(
        (
            path
            for path in folder.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ),
        key=lambda path: path.relative_to(folder).as_posix(),
    )
    for path in paths:
        _check_link(path, folder)
        if path.name == _STATE:
            _check_state(path)
        if path.suffix.lower() in _FORBIDDEN:
            raise InputError(
                "The dataset holds a file that could run code.",
                where=str(path),
                fix="convert the dataset to Parquet or JSONL",
            )
    if not paths:
        raise InputError("The dataset directory is empty.", where=str(folder), fix="check the path")
    return paths


def saved_splits(folder: Path) -> tuple[str, ...] | None:
    """Return the splits of a dataset written by ``save_to_disk``; ``None`` if it was written otherwise.

    A dataset without splits has none.

    Raises:
        InputError: a split is not a directory inside this one.
    """
    path = folder / _SPLITS
    if not path.exists():
        return () if (folder / _STATE).exists() else None
    listed = read_json(path, _MAX_LIST_BYTES, "dataset's list of splits")
    names = listed.get("splits") if isinstance(listed, dict) else None
    for name in names if isinstance(names, list) else [None]:
        if not isinstance(name, str) or not _SPLIT.fullmatch(name) or (folder / name).is_symlink():
            raise _outside(name, path)
    return tuple(names or ())


def saved_files(folder: Path) -> list[str]:
    """Return the names of the Arrow files of a saved split.

    Raises:
        InputError: its state is missing or names other files, or its rows are chosen by a list of indices.
    """
    path = folder / _STATE
    names = _check_state(path)
    state = read_json(path, _MAX_LIST_BYTES, "dataset's list of files")
    if state.get("_indices_data_files"):
        raise InputError(
            "The rows of the saved dataset are chosen by a list of indices, which is not supported.",
            where=str(path),
            fix="call flatten_indices(), then save it again with save_to_disk",
        )
    return names


def _check_link(path: Path, folder: Path) -> None:
    home = folder.resolve()
    allowed = [home]
    if home.parent.name == "snapshots":  # In the hub's cache, files are links to blobs.
        allowed.append(home.parent.parent / "blobs")
    if not any(path.resolve().is_relative_to(each) for each in allowed):
        raise InputError(
            "A symbolic link leads out of the dataset directory.",
            where=f"{path} -> {path.resolve()}",
            fix="replace the link with the file",
        )


def _check_state(path: Path) -> list[str]:
    """Return the names in a ``state.json`` of ``save_to_disk``, which have to be in its own directory."""
    state = read_json(path, _MAX_LIST_BYTES, "dataset's list of files")
    listed = state.get("_data_files") if isinstance(state, dict) else None
    names = []
    for entry in listed if isinstance(listed, list) else []:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or Path(name).name != name or name.startswith("."):
            raise _outside(name, path)
        names.append(name)
    return names


def _outside(name: object, where: Path) -> InputError:
    return InputError(
        f"The dataset names {str(name)[:80]!r}, which is not a file in its directory.",
        where=str(where),
        fix="save the dataset again with save_to_disk",
    )
