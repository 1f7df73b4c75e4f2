"""A dataset read by the `datasets` library: a local directory, or a dataset of the hub at a commit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.base_model import fetch_snapshot
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import read_json, sha256_file
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.records import container, read_records
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

_PREFIX = "dataset:"
_FORBIDDEN = frozenset({".py", ".pkl", ".pickle", ".pt", ".bin"})


class DatasetKind:
    """``dataset:./directory`` or ``dataset:organisation/name``."""

    has_repositories = False

    def claims(self, source: str, path: Path) -> bool:
        """Return true for the prefix ``dataset:``."""
        return source.startswith(_PREFIX)

    def check(self, data: Data, folder: Path) -> None:
        """Require a local directory, or a hub id with a commit.

        Raises:
            RecipeError: it is neither.
        """
        name = data.source.removeprefix(_PREFIX)
        local = folder / name
        if local.is_dir():
            return
        if name.startswith((".", "/")) or not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name):
            raise RecipeError(
                f"The dataset {name!r} is not a directory.",
                where=f"key data.source, looked for at {local}",
                fix="correct the path, or write a hub id with its revision",
            )
        if data.revision is None:
            raise RecipeError(
                f"The dataset {name!r} has no revision.",
                where="key data.revision",
                fix="add the commit to use (40 hex digits)",
            )

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        """Return the directory of the dataset, fetching it from the hub unless it is there.

        Raises:
            InputError: the hub does not have it or denies access to it.
            ServiceError: the hub does not answer.
        """
        name = data.source.removeprefix(_PREFIX)
        local = folder / name
        return local.resolve() if local.is_dir() else fetch_snapshot(name, str(data.revision), "dataset")

    def open(self, data: Data, path: Path) -> DatasetSource:
        """Return the reader of the split in the recipe."""
        return DatasetSource(path, data)

    def is_remote(self, source: str) -> bool:
        """Return true for a hub id."""
        return not source.removeprefix(_PREFIX).startswith((".", "/", "~"))

    def local_path(self, source: str) -> str | None:
        """Return the path of a local dataset."""
        return None if self.is_remote(source) else source.removeprefix(_PREFIX)


class DatasetSource:
    """The rows of one split. No code of the dataset is run and nothing is unpickled."""

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data

    def containers(self) -> tuple[FileDigest, ...]:
        """Return all files of the dataset, of every split."""
        return tuple(
            container(
                path.relative_to(self._path).as_posix(), sha256_file(path), path.stat().st_size, str(path)
            )
            for path in self._checked_files()
        )

    def samples(self) -> Iterator[Sample | Unusable]:
        """Yield a sample for each row of the split, named ``train:12`` by its number, from 1."""
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
            raise InputError("The dataset directory is empty.", where=str(self._path), fix="check the path")
        return paths

    def _check_link(self, path: Path) -> None:
        home = self._path.resolve()
        allowed = [home]
        if home.parent.name == "snapshots":  # In the hub's cache, files are links to blobs.
            allowed.append(home.parent.parent / "blobs")
        if not any(path.resolve().is_relative_to(each) for each in allowed):
            raise InputError(
                "A symbolic link leads out of the dataset directory.",
                where=f"{path} -> {path.resolve()}",
                fix="replace the link with the file",
            )

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            from datasets import DatasetDict, load_dataset, load_from_disk
            from datasets.exceptions import DatasetGenerationError
        except ImportError as error:
            raise InputError(
                "Datasets need the library datasets, which is not installed.",
                where=str(self._path),
                fix="pip install 'starfreight[train]', or use a JSONL file",
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
                fix="check the directory and the name of the split",
            ) from error

    def _check_columns(self, columns: Mapping[str, Any]) -> None:
        for name, kind in columns.items():
            # The decoders of images, audio and video are not hardened against hostile data.
            if hasattr(kind, "decode_example"):
                raise InputError(
                    f"The column {name!r} holds data of type {type(kind).__name__}, not text.",
                    where=f"{self._path}, split {self._data.split}",
                    fix="remove the column",
                )


def _check_state(path: Path) -> None:
    """Refuse a ``state.json`` of ``save_to_disk`` that names files outside its own directory."""
    state = read_json(path, 16 << 20, "dataset's list of files")
    listed = state.get("_data_files") if isinstance(state, dict) else None
    for entry in listed if isinstance(listed, list) else []:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(
                f"The dataset names {str(name)[:80]!r}, which is not a file in its directory.",
                where=str(path),
                fix="save the dataset again with save_to_disk",
            )
