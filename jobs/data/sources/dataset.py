"""A dataset in the layout of the `datasets` library: a local directory, or one of the hub at a commit."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.files import sha256_file
from starfreight.hub_snapshot import fetch_snapshot
from starfreight.jobs.data.rows.dataset_files import checked_files, saved_splits
from starfreight.jobs.data.rows.process import process_rows
from starfreight.jobs.data.sources.interface import MissingLibrary, Sample, Unusable
from starfreight.jobs.data.sources.records import container, read_records
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

_PREFIX = "dataset:"


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
    """The rows of one split, read in a process with limited memory.

    No code of the dataset is run, nothing is unpickled, and no file outside its directory is read.
    """

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data

    def containers(self) -> tuple[FileDigest, ...]:
        """Return all files of the dataset, of every split."""
        return tuple(
            container(
                path.relative_to(self._path).as_posix(), sha256_file(path), path.stat().st_size, str(path)
            )
            for path in checked_files(self._path)
        )

    def samples(self) -> Iterator[Sample | Unusable]:
        """Yield a sample for each row of the split, named ``train:12`` by its number, from 1."""
        checked_files(self._path)
        saved_splits(self._path)
        yield from read_records(self._records(), self._data, str(self._path))

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if not _is_installed("pyarrow"):
            raise MissingLibrary(
                "Datasets need pyarrow, which is not installed.",
                where=str(self._path),
                fix="pip install 'starfreight[train]', or use a JSONL file",
            )
        for number, row in enumerate(process_rows("dataset", self._path, self._data.split), 1):
            yield f"{self._data.split}:{number}", row


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ValueError:  # Set to None in sys.modules.
        return False
