"""A directory of code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import open_regular, sha256_bytes
from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, repository_license
from starfreight.jobs.data.sources.file_text import file_text
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.local_path import existing_path
from starfreight.jobs.data.sources.text_files import (
    is_skipped,
    is_wanted,
    most_bytes,
    printable_name,
)
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

_OF_DATASETS = (".csv", ".tsv", ".txt", ".arrow", ".csv.gz", ".bz2", ".xz", ".lz4", ".zip")
"""Suffixes of files that are read as part of a dataset only."""


class FolderKind:
    """A directory, named by its path. Claims every path, also that of an unknown file."""

    has_repositories = True

    def claims(self, source: str, path: Path) -> bool:
        """Return true."""
        return True

    def check(self, data: Data, folder: Path) -> None:
        """Require a directory.

        Raises:
            RecipeError: the path does not exist, or is a file.
        """
        path = existing_path(data.source, folder)
        if not path.is_dir():
            raise RecipeError(
                f"The data source {data.source!r} is neither a directory nor a JSONL or Parquet file.",
                where=f"key data.source, {path}",
                fix="put the file into a directory of its own and name that: dataset:./directory"
                if path.name.lower().endswith(_OF_DATASETS)
                else "name a directory of code, or a file that ends in .jsonl, .ndjson, .json or .parquet "
                "(small letters; JSON also as .gz or .zst)",
            )

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        """Return the resolved path."""
        return existing_path(data.source, folder).resolve()

    def open(self, data: Data, path: Path) -> FolderSource:
        """Return the reader of the directory, which is a repository of the same name."""
        return FolderSource(path, data, path.name)

    def is_remote(self, source: str) -> bool:
        """Return false."""
        return False

    def local_path(self, source: str) -> str | None:
        """Return the source itself."""
        return source


class FolderSource:
    """The text files below a directory, except hidden, empty, large and binary ones.

    A symbolic link out of the directory is an error, since its target has another origin; a link inside it is
    left out, since its target is read anyway.

    Args:
        root: the directory.
        data: the source.
        repository: the name of the repository, unless each subdirectory is one.
        license_of: returns the license of the repository; read from its LICENSE files by default.
    """

    def __init__(
        self, root: Path, data: Data, repository: str, license_of: Callable[[], str | None] | None = None
    ) -> None:
        self._root = root
        self._data = data
        self._repository = repository
        self._license_of = license_of

    def containers(self) -> tuple[FileDigest, ...]:
        """Return nothing: each sample is a file."""
        return ()

    def samples(self) -> Iterator[Sample | Unusable]:
        """Yield the files, sorted by their whole paths in code point order, as git sorts them."""
        repository, license_name = "", None
        for name, path, reason in self._walk():
            if self._data.repositories == "subfolders":
                home, _, inside = name.partition("/")
                if reason is None and not inside:
                    reason = "in no repository"
            else:
                home, inside = self._repository, name
            content = b"" if reason else _read(path, most_bytes(name))
            found = reason or ("unreadable" if content is None else file_text(content, inside))
            if isinstance(found, str) or content is None:
                yield Unusable(printable_name(name), str(found))
                continue
            if home != repository:
                repository, license_name = home, self._license(home)
            yield Sample(
                name=name,
                content=found.text,
                digest=sha256_bytes(content),
                size=len(content),
                path=inside,
                repository=repository,
                license=license_name,
                conversion=found.conversion,
            )

    def sizes(self) -> Iterator[int]:
        """Yield the size of each selected file, without reading any."""
        for _, path, reason in self._walk():
            if reason is None:
                with contextlib.suppress(OSError):
                    yield path.lstat().st_size

    def _license(self, repository: str) -> str | None:
        if self._license_of is not None:
            return self._license_of()
        folder = self._root / repository if self._data.repositories == "subfolders" else self._root

        def read(name: str) -> bytes | None:
            path = folder / name
            return _read(path, MAX_LICENSE_BYTES)

        return repository_license([path.name for path in folder.iterdir()], read)

    def _walk(self) -> Iterator[tuple[str, Path, str | None]]:
        """Yield the name and path of each selected file, and the reason if it cannot be used.

        The stack holds the names of one directory per level of depth.
        """
        waiting = [iter(self._entries(self._root, ""))]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
                continue
            name, path, kind = entry
            if not path.name.isprintable():
                # Surrogates, which stand for invalid UTF-8, and control characters.
                yield name, path, "name not text"
            elif kind == "folder":
                waiting.append(iter(self._entries(path, name)))
            elif is_wanted(name, self._data):
                if kind == "link":
                    self._check_link(path)
                    yield name, path, "symbolic link"
                elif kind == "file":
                    yield name, path, None

    def _entries(self, folder: Path, prefix: str) -> list[tuple[str, Path, str]]:
        found = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_skipped(entry.name):
                        continue
                    # As in a whole path, a directory's name is followed by a slash: "a-b/x" < "a/x" < "a0".
                    name = prefix + entry.name
                    if entry.is_symlink():
                        found.append((name, folder / entry.name, "link"))
                    elif entry.is_dir(follow_symlinks=False):
                        found.append((name + "/", folder / entry.name, "folder"))
                    elif entry.is_file(follow_symlinks=False):
                        found.append((name, folder / entry.name, "file"))
        except OSError as error:
            raise InputError(
                f"The directory cannot be read: {error.strerror or error}.",
                where=str(folder),
                fix="check its permissions, or move it out of the source",
            ) from error
        return sorted(found)

    def _check_link(self, path: Path) -> None:
        try:
            target = path.resolve()
        except RuntimeError:  # A loop of links.
            return
        if not target.is_relative_to(self._root.resolve()):
            raise InputError(
                "A symbolic link leads out of the data directory.",
                where=f"{path} -> {path.readlink()}",
                fix="copy the target, name it as a source of its own, or exclude the link",
            )


def _read(path: Path, limit: int) -> bytes | None:
    """Return a file, or the first ``limit`` + 1 bytes of it; ``None`` if it cannot be read."""
    try:
        with open_regular(path, follow=False) as stream:
            return stream.read(limit + 1)
    except (OSError, InputError):  # It was replaced in the meantime, or is not readable.
        return None
