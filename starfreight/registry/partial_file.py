"""The private file of a download: the bytes received so far, and a journal of them behind the last one.

A kill leaves the file, and the next download of the same blob into the same directory continues with it. The
journal may be wrong after a power failure, so the digest of the whole file decides.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import human_count
from starfreight.directories import Directory, open_directory
from starfreight.errors import ServiceError
from starfreight.files import PARTIAL_PREFIX, disk_errors, place_errors
from starfreight.package import Descriptor

SEGMENT = 64 << 20
"""Bytes of a segment: short enough that the digest of the file can follow its download."""

_MOST_SEGMENTS = 4096
_MAX_JOURNAL = 1 << 20
_MAX_ETAG = 200
_JOURNAL_HEAD = 400
_JOURNAL_ENTRY = 22
"""Bytes of the largest number of received bytes, with its separator."""


@dataclass
class Segment:
    """Bytes ``start`` to ``end`` of a blob, of which the first ``received`` are in the file."""

    start: int
    end: int
    received: int = 0

    @property
    def position(self) -> int:
        """Offset of the next byte to receive."""
        return self.start + self.received

    @property
    def left(self) -> int:
        """Number of bytes to receive."""
        return self.end - self.position


class PartialFile:
    """An open and locked partial file. Made by :func:`open_partial`.

    Attributes:
        segments: the blob's parts in order.
        etag: entity tag of the answers so far, empty if unknown.
    """

    def __init__(self, directory: Directory, name: str, handle: int, descriptor: Descriptor) -> None:
        self._directory, self._name, self._descriptor = directory, name, descriptor
        self.handle = handle
        self.etag = ""
        self.segments = _segments(descriptor.size)
        self._load()

    @property
    def received(self) -> int:
        """Number of bytes in the file."""
        return sum(segment.received for segment in self.segments)

    def restart(self, *, whole: bool) -> None:
        """Forget all received bytes; with ``whole``, the blob becomes a single segment."""
        size = self._descriptor.size
        self.segments = [Segment(0, size)] if whole else _segments(size)
        self.etag = ""
        os.ftruncate(self.handle, 0)

    def save(self) -> None:
        """Write the journal."""
        journal = {
            "digest": self._descriptor.digest,
            "etag": self.etag,
            "received": [segment.received for segment in self.segments],
        }
        # Of constant length, so that a disk that fills up meanwhile has room for it.
        text = json.dumps(journal).encode().ljust(_JOURNAL_HEAD + _JOURNAL_ENTRY * len(self.segments))
        os.pwrite(self.handle, text, self._descriptor.size)
        os.ftruncate(self.handle, self._descriptor.size + len(text))

    def check_space(self) -> None:
        """Refuse a download that does not fit the disk.

        Raises:
            ServiceError: the rest of the blob is larger than the free space.
        """
        disk = os.fstatvfs(self.handle)
        free, missing = disk.f_bavail * disk.f_frsize, self._descriptor.size - self.received
        if disk.f_blocks and free < missing:  # Some network file systems report nothing at all.
            raise ServiceError(
                f"The disk has {human_count(free, 'B')} free; the rest of the file needs "
                f"{human_count(missing, 'B')}.",
                where=str(self._directory.path),
                fix="free some space or choose another directory, then run the same command again",
            )

    def finish(self, to: Path) -> None:
        """Give the file its final name."""
        os.ftruncate(self.handle, self._descriptor.size)
        os.fsync(self.handle)
        mask = os.umask(0o022)
        os.umask(mask)
        os.fchmod(self.handle, 0o644 & ~mask)
        with place_errors(to):
            self._directory.rename(self._name, to.name)

    def discard(self) -> None:
        """Delete the file."""
        self._directory.delete(self._name)

    def _load(self) -> None:
        """Read the journal, if it belongs to this blob."""
        size = self._descriptor.size
        length = os.fstat(self.handle).st_size - size
        if not 0 < length <= _MAX_JOURNAL:
            return
        try:
            journal = json.loads(os.pread(self.handle, length, size))
            received, etag = journal["received"], journal["etag"]
            valid = (
                journal["digest"] == self._descriptor.digest
                and isinstance(etag, str)
                and len(etag) <= _MAX_ETAG
                and etag.isascii()
                and etag.isprintable()
                and len(received) == len(self.segments)
                and all(
                    type(count) is int and 0 <= count <= segment.end - segment.start
                    for count, segment in zip(received, self.segments, strict=True)
                )
            )
        except (ValueError, LookupError, TypeError, RecursionError):
            return
        if valid:
            self.etag = etag
            for segment, count in zip(self.segments, received, strict=True):
                segment.received = count


@contextlib.contextmanager
def open_partial(to: Path, descriptor: Descriptor) -> Iterator[PartialFile]:
    """Open the partial file for a download to ``to``; parent directories are created.

    If another process is downloading the same blob there, the file has a random name.

    Raises:
        InputError: a parent is a file, or ``to`` is a directory.
        ServiceError: the disk is full or not writable.
    """
    with disk_errors(to), contextlib.ExitStack() as stack:
        with place_errors(to):
            directory = stack.enter_context(open_directory(to.parent, create=True))
            if to.is_dir() and not to.is_symlink():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        handle, name = _open_locked(directory, descriptor)
        stack.callback(os.close, handle)
        yield PartialFile(directory, name, handle, descriptor)


def _open_locked(directory: Directory, descriptor: Descriptor) -> tuple[int, str]:
    name = PARTIAL_PREFIX + descriptor.digest.removeprefix("sha256:")[:32]
    for _ in range(3):
        try:
            handle = directory.open(name, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
        except IsADirectoryError:
            break
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have finished or discarded it in between; a hard link has other owners.
            there = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
            ours = os.fstat(handle)
            if stat.S_ISREG(ours.st_mode) and ours.st_nlink == 1 and os.path.samestat(there, ours):
                return handle, name
        except FileNotFoundError:
            pass
        except OSError:  # Locked by another process, or a file system without locks.
            os.close(handle)
            break
        os.close(handle)
    name = PARTIAL_PREFIX + os.urandom(6).hex()
    return directory.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), name


def _segments(size: int) -> list[Segment]:
    step = max(SEGMENT, size // _MOST_SEGMENTS + 1)
    return [Segment(start, min(start + step, size)) for start in range(0, size, step)] or [Segment(0, 0)]
