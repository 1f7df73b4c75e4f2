"""A folder of code, or the source of an installed Python package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import sha256_bytes
from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, repository_license
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.oci import OCI, oci_repository
from starfreight.jobs.data.sources.python_package import PYTHON, package_license
from starfreight.jobs.data.sources.texts import MAX_FILE_BYTES, is_skipped, is_wanted, shown, why_no_text
from starfreight.recipe.data import Data
from starfreight.records import FileDigest


class FolderSource:
    """Text files below a folder. Hidden ones, empty ones, large ones and binary ones are left out.

    A symbolic link that points out of the folder is refused, since what it brings in has another
    origin than the folder's; one that stays inside is left out, since its file is there already.
    """

    def __init__(self, path: Path, data: Data) -> None:
        self._root = path
        self._data = data

    def containers(self) -> tuple[FileDigest, ...]:
        """None: each sample is a file."""
        return ()

    def samples(self) -> Iterator[Sample | Unusable]:
        """The files, sorted by their whole paths in the order of code points, as git sorts them."""
        repository, license_name = "", None
        for name, path, reason in self._walk():
            if self._data.repositories == "subfolders":
                home, _, inside = name.partition("/")
                if reason is None and not inside:
                    reason = "in no repository"
            else:
                home, inside = self._name(), name
            content = b"" if reason else _read(path)
            reason = reason or ("unreadable" if content is None else why_no_text(content))
            if reason or content is None:
                yield Unusable(shown(name), reason or "unreadable")
                continue
            if home != repository:
                repository, license_name = home, self._license(home)
            yield Sample(
                name=name,
                content=content.decode("utf-8"),
                digest=sha256_bytes(content),
                size=len(content),
                path=inside,
                repository=repository,
                license=license_name,
            )

    def _name(self) -> str:
        if self._data.source.startswith(PYTHON):
            return self._data.source.removeprefix(PYTHON)
        if self._data.source.startswith(OCI):
            return oci_repository(self._data.source)
        return self._root.name

    def _license(self, repository: str) -> str | None:
        if self._data.source.startswith(PYTHON):
            return package_license(self._name())
        folder = self._root / repository if self._data.repositories == "subfolders" else self._root

        def read(name: str) -> bytes | None:
            path = folder / name
            return None if path.is_symlink() or not path.is_file() else _read(path, MAX_LICENSE_BYTES)

        return repository_license([path.name for path in folder.iterdir()], read)

    def _walk(self) -> Iterator[tuple[str, Path, str | None]]:
        """Each file that is wanted: its name, its path, and why it cannot be used.

        The stack holds one folder's names for each level of depth.
        """
        waiting = [iter(self._entries(self._root, ""))]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
                continue
            name, path, kind = entry
            if not path.name.isprintable():
                # Surrogates, that is bytes that are no UTF-8, and control characters.
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
                    # As in a whole path, a folder's name is followed by a slash: "a-b/x" < "a/x" < "a0".
                    name = prefix + entry.name
                    if entry.is_symlink():
                        found.append((name, folder / entry.name, "link"))
                    elif entry.is_dir(follow_symlinks=False):
                        found.append((name + "/", folder / entry.name, "folder"))
                    elif entry.is_file(follow_symlinks=False):
                        found.append((name, folder / entry.name, "file"))
        except OSError as error:
            raise InputError(
                f"The folder cannot be read: {error.strerror or error}.",
                where=str(folder),
                fix="check its permissions, or exclude it by moving it out of the source",
            ) from error
        return sorted(found)

    def _check_link(self, path: Path) -> None:
        try:
            target = path.resolve()
        except RuntimeError:  # A link to itself leads nowhere.
            return
        if not target.is_relative_to(self._root.resolve()):
            raise InputError(
                "A symbolic link leads out of the data folder.",
                where=f"{path} -> {path.readlink()}",
                fix="copy what it points to, name that as a source of its own, or exclude the link",
            )


def _read(path: Path, limit: int = MAX_FILE_BYTES) -> bytes | None:
    """A file, or one byte more than ``limit`` of it; ``None`` when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(limit + 1)
    except OSError:
        return None
