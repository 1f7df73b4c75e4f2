"""A dataset that the `datasets` library reads: a local folder, or one of the hub at a commit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.base_model import fetch_snapshot
from starfreight.errors import InputError, RecipeError
from starfreight.files import read_json, sha256_file
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.records import container, read_records
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

DATASET = "dataset:"

_FORBIDDEN = frozenset({".py", ".pkl", ".pickle", ".pt", ".bin"})


def check_dataset(name: str, revision: str | None, folder: Path) -> Path | None:
    """The folder of a local dataset; ``None`` for one of the hub, which is spelled as it must be.

    Raises:
        RecipeError: neither a folder nor a hub id, or a hub id without a commit.
    """
    local = folder / name
    if local.is_dir():
        return local.resolve()
    if name.startswith((".", "/")) or not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name):
        raise RecipeError(
            f"The dataset {name!r} is no folder.",
            where=f"key data.source, looked for at {local}",
            fix="correct the path, or write a hub id with its revision",
        )
    if revision is None:
        raise RecipeError(
            f"The dataset {name!r} has no revision.",
            where="key data.revision",
            fix="add the commit (40 hex digits) that you mean",
        )
    return None


def locate_dataset(name: str, revision: str | None, folder: Path) -> Path:
    """The folder of a dataset, which is fetched from the hub when it has to be.

    Raises:
        RecipeError: as :func:`check_dataset`.
        InputError: the hub does not have it, or does not show it.
        ServiceError: the hub does not answer.
    """
    return check_dataset(name, revision, folder) or fetch_snapshot(name, str(revision), "dataset")


class DatasetSource:
    """The rows of one split. The library runs no code of the dataset and unpickles nothing."""

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data

    def containers(self) -> tuple[FileDigest, ...]:
        """Every file of the dataset, whichever split it belongs to."""
        return tuple(
            container(
                path.relative_to(self._path).as_posix(), sha256_file(path), path.stat().st_size, str(path)
            )
            for path in self._checked_files()
        )

    def samples(self) -> Iterator[Sample | Unusable]:
        """A sample for each row of the split, called ``train:12`` after its number from 1 on."""
        self._checked_files()
        yield from read_records(self._records(), self._data, str(self._path))

    def _checked_files(self) -> list[Path]:
        paths = sorted(
            (
                path
                for path in self._path.rglob("*")
                if path.is_file()
                and not any(part.startswith(".") for part in path.relative_to(self._path).parts)
            ),
            key=lambda path: path.relative_to(self._path).as_posix(),
        )
        for path in paths:
            self._check_link(path)
            if path.name == "state.json":
                _check_state(path)
            if path.suffix.lower() in _FORBIDDEN:
                raise InputError(
                    "The dataset holds a file that could run code.",
                    where=str(path),
                    fix="convert the dataset to Parquet or JSONL",
                )
        if not paths:
            raise InputError("The dataset's folder is empty.", where=str(self._path), fix="check the path")
        return paths

    def _check_link(self, path: Path) -> None:
        home = self._path.resolve()
        allowed = [home]
        if home.parent.name == "snapshots":  # The hub's cache, whose files are links to its blobs.
            allowed.append(home.parent.parent / "blobs")
        if not any(path.resolve().is_relative_to(place) for place in allowed):
            raise InputError(
                "A symbolic link leads out of the dataset's folder.",
                where=f"{path} -> {path.resolve()}",
                fix="put the file itself there",
            )

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            from datasets import DatasetDict, load_dataset, load_from_disk
            from datasets.exceptions import DatasetGenerationError
        except ImportError as error:
            raise InputError(
                "Datasets are read with the library datasets, which is not installed.",
                where=str(self._path),
                fix="pip install 'starfreight[train]', or name a JSONL file",
            ) from error

        try:
            if (self._path / "dataset_dict.json").exists() or (self._path / "state.json").exists():
                loaded = load_from_disk(str(self._path))
                rows = loaded[self._data.split] if isinstance(loaded, DatasetDict) else loaded
            else:
                rows = load_dataset(str(self._path), split=self._data.split, streaming=True)
            self._check_columns(rows.features or {})
            for number, row in enumerate(rows, 1):
                yield f"{self._data.split}:{number}", dict(row)
        except (KeyError, ValueError, OSError, DatasetGenerationError) as error:
            raise InputError(
                f"The dataset cannot be read: {error}.",
                where=f"{self._path}, split {self._data.split}",
                fix="check the folder and the split's name",
            ) from error

    def _check_columns(self, columns: Mapping[str, Any]) -> None:
        for name, kind in columns.items():
            # Pictures, sound, video: their decoders are not made for hostile data.
            if hasattr(kind, "decode_example"):
                raise InputError(
                    f"The column {name!r} holds files of type {type(kind).__name__}, and no text.",
                    where=f"{self._path}, split {self._data.split}",
                    fix="remove that column",
                )


def _check_state(path: Path) -> None:
    """``state.json`` of ``save_to_disk`` names the files beside it, and could name any other as well."""
    state = read_json(path, 16 << 20, "dataset's list of files")
    listed = state.get("_data_files") if isinstance(state, dict) else None
    for entry in listed if isinstance(listed, list) else []:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(
                f"The dataset names {str(name)[:80]!r}, which is no file beside this one.",
                where=str(path),
                fix="save the dataset again with save_to_disk",
            )
