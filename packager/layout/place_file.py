"""Move, link or copy a file to its place in a layout, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import PARTIAL_PREFIX, atomic_write
from starfreight.image_layout.reader import open_regular
from starfreight.package import Descriptor

_CHUNK = 1 << 20


def place_file(path: Path, target: Path, descriptor: Descriptor, console: Console, *, keep: bool) -> None:
    """Put a file at ``target``. It is copied only where the file system cannot move or link it.

    Args:
        path: the file; it is gone afterwards unless ``keep``.
        target: its path in the layout. An existing file there is replaced.
        descriptor: the file's digest and size.
        console: shows the progress of a copy.
        keep: leave the file in place and make a hard link to it.

    Raises:
        GateError: the copy does not have the descriptor's digest.
        OSError: the disk is full or not writable.
    """
    if not target.is_symlink() and target.exists() and target.samefile(path):
        if not keep:
            path.unlink()
        return
    sync(path)
    try:
        if keep:
            _link(path, target)
        else:
            path.replace(target)
            target.chmod(0o644)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
            raise
        _copy(path, target, descriptor, console)
        if not keep:
            path.unlink()


def regular_size(path: Path) -> int | None:
    """The size of a regular file in bytes; ``None`` if there is no file.

    Raises:
        InputError: the path is a directory, a link, a pipe or a device.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise InputError("The path is not a regular file.", where=str(path), fix="name the file itself")
    return status.st_size


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
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


def _copy(path: Path, target: Path, descriptor: Descriptor, console: Console) -> None:
    digest = hashlib.sha256()
    with (
        console.progress("Copying", total=descriptor.size, unit="B") as advance,
        open_regular(path) as source,
        atomic_write(target) as stream,
    ):
        while piece := source.read(_CHUNK):
            digest.update(piece)
            stream.write(piece)
            advance(len(piece))
        if "sha256:" + digest.hexdigest() != descriptor.digest:
            raise GateError(
                "The file does not have the digest that was recorded when it was written.",
                where=str(path),
                fix="make it again, and check the disk",
            )
