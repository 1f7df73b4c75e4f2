"""Files of records: the rules shared by all their formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import sha256_file
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.local_path import existing_path
from starfreight.jobs.data.sources.pointers import pointer_error
from starfreight.jobs.data.sources.records import container, read_records
from starfreight.recipe.data import Data
from starfreight.records import FileDigest


class RecordFile(ABC):
    """The reader of one file of records; a subclass reads its format."""

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data

    def containers(self) -> tuple[FileDigest, ...]:
        """Return the file."""
        size = self._path.stat().st_size
        return (container(self._path.name, sha256_file(self._path), size, str(self._path)),)

    def samples(self) -> Iterator[Sample | Unusable]:
        """Yield a sample for each record, named ``<file>:<number>``."""
        try:
            yield from read_records(self._records(), self._data, str(self._path))
        except InputError as error:
            if (pointer := pointer_error(self._path)) is not None:
                raise pointer from error
            raise

    @abstractmethod
    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the name and the fields of each record."""


@dataclass(frozen=True)
class RecordFileKind:
    """A file of records, named by its path.

    Attributes:
        suffixes: of such files.
        reader: opens them.
    """

    suffixes: tuple[str, ...]
    reader: type[RecordFile]
    has_repositories: bool = False

    def claims(self, source: str, path: Path) -> bool:
        """Return true for a path with one of the suffixes, except that of a directory."""
        return source.endswith(self.suffixes) and Path(source).name not in self.suffixes and not path.is_dir()

    def check(self, data: Data, folder: Path) -> None:
        """Require the file.

        Raises:
            RecipeError: it does not exist, or is a pipe or a device.
        """
        path = existing_path(data.source, folder)
        if not path.is_file():
            raise RecipeError(
                f"The data source {data.source!r} is a pipe or a device, not a regular file.",
                where=f"key data.source, {path}",
                fix="write the records to a file and name it",
            )

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        """Return the resolved path."""
        return existing_path(data.source, folder).resolve()

    def open(self, data: Data, path: Path) -> RecordFile:
        """Return the reader of the file."""
        return self.reader(path, data)

    def is_remote(self, source: str) -> bool:
        """Return false."""
        return False

    def local_path(self, source: str) -> str | None:
        """Return the source itself."""
        return source
