"""Hash the blobs of a layout: several files at a time, each byte once, in little memory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Advance
from starfreight.errors import GateError
from starfreight.image_layout.reader import open_regular, unreadable
from starfreight.machine_limits import usable_processors

_CHUNK = 4 << 20
"""Bytes read at a time. Between two chunks a thread waits for the interpreter, which may be importing."""
_SMALL = 1 << 20
"""Bytes. Smaller files are hashed by the caller's thread."""


@dataclass(frozen=True)
class HashedBlob:
    """A file that was read.

    Attributes:
        size: in bytes; 0 if it cannot be read.
        digest: of its bytes; ``None`` if it was not hashed or cannot be read.
        refusal: the reason why it cannot be read.
    """

    size: int
    digest: str | None = None
    refusal: GateError | None = None


def hash_blobs(
    paths: Iterable[Path],
    advance: Advance,
    *,
    skip: Iterable[Path] = (),
    meanwhile: Callable[[], None] | None = None,
) -> dict[Path, HashedBlob]:
    """Hash files on all processors.

    Args:
        paths: the files.
        advance: called with numbers of bytes, by one thread at a time.
        skip: those of the files that are only opened.
        meanwhile: called while large files are hashed.
    """
    progress = _Progress(advance)
    unread = frozenset(skip)
    sizes = {path: _size(path) for path in paths}
    small = {path: _hash(path, progress, path in unread) for path, size in sizes.items() if size < _SMALL}
    # The largest first: the last file to finish decides.
    large = sorted(sizes.keys() - small.keys(), key=lambda path: (-sizes[path], path))
    if not large:
        if meanwhile is not None:
            meanwhile()
        return small
    pool = ThreadPoolExecutor(min(usable_processors(), len(large)), thread_name_prefix="hash")
    try:
        found = pool.map(lambda path: _hash(path, progress, path in unread), large)
        if meanwhile is not None:
            meanwhile()
        return small | dict(zip(large, found, strict=True))
    finally:
        progress.stop()
        pool.shutdown(cancel_futures=True)


class _Progress:
    """Counts bytes from several threads, and ends them after Ctrl-C."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._lock, self._stopped = advance, threading.Lock(), False

    def add(self, amount: int) -> None:
        if self._stopped:
            raise _StoppedError
        with self._lock:
            self._advance(amount)

    def stop(self) -> None:
        self._stopped = True


class _StoppedError(Exception):
    """Nobody waits for the digest any more."""


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _hash(path: Path, progress: _Progress, unread: bool) -> HashedBlob:
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if unread:
                return HashedBlob(size)
            digest, buffer = hashlib.sha256(), bytearray(min(size, _CHUNK - 1) + 1)
            view = memoryview(buffer)
            while count := stream.readinto(buffer):  # type: ignore[attr-defined]
                digest.update(view[:count])
                progress.add(count)
            return HashedBlob(size, "sha256:" + digest.hexdigest())
    except GateError as error:
        return HashedBlob(0, refusal=error)
    except OSError as error:
        return HashedBlob(0, refusal=unreadable(path, error))
