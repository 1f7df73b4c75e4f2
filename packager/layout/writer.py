"""Writes a layout: content-addressed, each file whole or not there, and picked up where it was left."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import (
    LOCK_FILE,
    PARTIAL_PREFIX,
    atomic_write,
    disk_errors,
    only_one,
    sha256_bytes,
    sweep_partials,
    write_bytes,
    write_json,
)
from starfreight.package import PACKAGE_FILE, Descriptor, Package
from starfreight.packager.layout.index import index_json, package_entries
from starfreight.packager.layout.reader import (
    ALGORITHM,
    BLOBS,
    INDEX_FILE,
    LAYOUT_FILE,
    Layout,
    open_regular,
    sha256_stream,
)

TOP_LEVEL = frozenset({LAYOUT_FILE, INDEX_FILE, PACKAGE_FILE, BLOBS, LOCK_FILE})
"""All that lies directly in a package's folder; the lock only while it is written."""

LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'

_HEX = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


@contextlib.contextmanager
def open_writer(folder: Path, console: Console) -> Iterator[LayoutWriter]:
    """Opens a folder to write a package into, alone.

    What an earlier, interrupted writer left is used again where its digest is right.

    Raises:
        InputError: the folder holds something else, or another process writes a package there.
        ServiceError: the disk is full or not writable.
    """
    _refuse_other_contents(folder)
    with only_one(folder, "writing a package"), disk_errors(folder):
        blobs = folder / BLOBS / ALGORITHM
        for part in (blobs.parent, blobs):
            if part.is_symlink():
                raise InputError(
                    "The package's folder of blobs is a symbolic link.", where=str(part), fix="remove it"
                )
        blobs.mkdir(parents=True, exist_ok=True)
        sweep_partials(folder)
        sweep_partials(blobs)
        yield LayoutWriter(folder, console)


class LayoutWriter:
    """Puts blobs into a layout. Made by :func:`open_writer`."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._layout = Layout(folder)
        self._folder = folder
        self._console = console
        self._written: set[str] = set()

    def add(self, data: bytes, media_type: str) -> Descriptor:
        """Puts bytes into the layout.

        Raises:
            ServiceError: the disk is full or not writable.
        """
        descriptor = Descriptor(media_type=media_type, digest=sha256_bytes(data), size=len(data))
        if not self._holds(descriptor):
            self._clear(descriptor.digest)
            write_bytes(self._layout.blob_path(descriptor.digest), data)
        self._written.add(descriptor.digest)
        return descriptor

    def adopt(
        self,
        path: Path,
        media_type: str,
        *,
        digest: str | None = None,
        size: int | None = None,
        keep: bool = False,
    ) -> Descriptor:
        """Puts a finished file into the layout without copying it, where the file system allows.

        When the file is gone and the layout holds its digest, an earlier call has moved it already.

        Args:
            path: the file; afterwards it is gone unless ``keep``.
            media_type: what it is.
            digest: its digest, when whoever wrote it knows it; read from the file otherwise.
            size: its size in bytes, when known.
            keep: leave the file where it is, as a hard link.

        Raises:
            InputError: no such file, not a regular file, or of another size.
            GateError: the copy to another file system does not have the digest.
            ServiceError: the disk is full or not writable.
        """
        found = _regular_size(path)
        if found is None:
            if digest is not None and size is not None:
                descriptor = Descriptor(media_type=media_type, digest=digest, size=size)
                if self._holds(descriptor):
                    self._written.add(digest)
                    return descriptor
            raise InputError("The file is not there.", where=str(path), fix="make it again")
        if size is not None and found != size:
            raise InputError(
                f"The file has {found:,} bytes where {size:,} were written.",
                where=str(path),
                fix="make it again",
            )
        if digest is None:
            with (
                self._console.progress("Hashing", total=found, unit="B") as advance,
                open_regular(path) as stream,
            ):
                digest = sha256_stream(stream, advance)
        descriptor = Descriptor(media_type=media_type, digest=digest, size=found)
        with disk_errors(self._folder):
            self._place(path, descriptor, keep)
        self._written.add(digest)
        return descriptor

    def finish(self, package: Package) -> None:
        """Writes ``index.json`` and ``package.json``, and drops blobs that nothing refers to.

        Raises:
            ServiceError: the disk is full or not writable.
        """
        record = package.model_dump_json(indent=2).encode() + b"\n"
        package_file = self._folder / PACKAGE_FILE
        if _differs(package_file, record):
            # Without the record the folder counts as unfinished, and that it is until the end.
            package_file.unlink(missing_ok=True)
        write_bytes(self._folder / LAYOUT_FILE, LAYOUT_BYTES)
        write_json(self._folder / INDEX_FILE, index_json(package_entries(package)))
        with disk_errors(self._folder):
            for blob in (self._folder / BLOBS / ALGORITHM).iterdir():
                if _HEX.fullmatch(blob.name) and "sha256:" + blob.name not in self._written:
                    blob.unlink()
        if _differs(package_file, record):
            package.save(self._folder)

    def _holds(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there and right."""
        try:
            with (
                self._layout.open(descriptor) as stream,
                self._console.progress("Checking", total=descriptor.size, unit="B") as advance,
            ):
                return sha256_stream(stream, advance) == descriptor.digest
        except GateError:
            return False

    def _clear(self, digest: str) -> None:
        """Makes way for a blob whose place something else than a file has taken."""
        path = self._layout.blob_path(digest)
        if path.is_dir() and not path.is_symlink():
            raise InputError("A folder lies where a blob belongs.", where=str(path), fix="remove it")

    def _place(self, path: Path, descriptor: Descriptor, keep: bool) -> None:
        target = self._layout.blob_path(descriptor.digest)
        self._clear(descriptor.digest)
        if not target.is_symlink() and target.exists() and target.samefile(path):
            if not keep:
                path.unlink()
            return
        _sync(path)
        try:
            if keep:
                _link(path, target)
            else:
                path.replace(target)
                target.chmod(0o644)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
                raise
            self._copy(path, target, descriptor)
            if not keep:
                path.unlink()

    def _copy(self, path: Path, target: Path, descriptor: Descriptor) -> None:
        digest = hashlib.sha256()
        with (
            self._console.progress("Copying", total=descriptor.size, unit="B") as advance,
            open_regular(path) as source,
            atomic_write(target) as stream,
        ):
            while piece := source.read(_CHUNK):
                digest.update(piece)
                stream.write(piece)
                advance(len(piece))
            if "sha256:" + digest.hexdigest() != descriptor.digest:
                raise GateError(
                    "The file does not have the digest that it was written with.",
                    where=str(path),
                    fix="make it again, and check the disk",
                )


def _refuse_other_contents(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError("There is a file of that name.", where=str(folder), fix="choose another folder")
    if not folder.exists():
        return
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in TOP_LEVEL and not entry.name.startswith(PARTIAL_PREFIX)
    )
    if others:
        raise InputError(
            f"The folder holds something else than a package: {others[0]!r}"
            + (f" and {len(others) - 1} more." if len(others) > 1 else "."),
            where=str(folder),
            fix="choose an empty folder, or one that holds a package",
        )


def _regular_size(path: Path) -> int | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise InputError("That is not a regular file.", where=str(path), fix="name the file itself")
    return status.st_size


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _link(path: Path, target: Path) -> None:
    partial = target.with_name(PARTIAL_PREFIX + target.name)
    partial.unlink(missing_ok=True)
    os.link(path, partial)
    partial.replace(target)


def _differs(path: Path, data: bytes) -> bool:
    try:
        with open_regular(path) as stream:
            return stream.read(len(data) + 1) != data
    except GateError:
        return True
