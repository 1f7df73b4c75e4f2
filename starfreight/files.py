"""Atomic files, directory locks and digests."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from starfreight.errors import InputError, ServiceError

PARTIAL_PREFIX = ".partial-"
"""Name prefix of unfinished files. Those left by a killed process are safe to delete."""

LOCK_FILE = ".lock"
"""Name of the lock file, present in a directory while a command writes there."""

LOCK_PATIENCE = "STARFREIGHT_LOCK_PATIENCE"
"""Environment variable: seconds to wait for a lock. In a cluster, the previous pod may still be writing its
checkpoint."""

_CHUNK = 1 << 20
_NO_PLACE = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL
)  # fmt: skip


def canonical_json(value: Any) -> bytes:
    """Encode as JSON with sorted keys and no optional whitespace: equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_bytes(data: bytes) -> str:
    """Digest of ``data`` as ``sha256:<64 hex digits>``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_file(path: Path, advance: Callable[[int], object] = lambda count: None) -> str:
    """Digest of a file as ``sha256:<64 hex digits>``, read in chunks of 1 MiB.

    Args:
        path: the file.
        advance: called with the size of each chunk in bytes.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
            advance(len(piece))
    return "sha256:" + digest.hexdigest()


def read_limited(path: Path, limit: int, kind: str) -> bytes:
    """Read a file of at most ``limit`` bytes.

    Args:
        path: the file.
        limit: maximum size in bytes.
        kind: noun for error messages.

    Raises:
        InputError: the file is missing, not a regular file, unreadable, or larger than ``limit``.
    """
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise InputError(f"The {kind} {what}.", where=str(path), fix="check the path")
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise InputError(
            f"The {kind} cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="check the path and its permissions",
        ) from error
    if len(data) > limit:
        raise InputError(
            f"The {kind} is larger than {limit:,} bytes.",
            where=str(path),
            fix="check that this is the right file",
        )
    return data


def read_json(path: Path, limit: int, kind: str) -> Any:
    """Read a JSON file of at most ``limit`` bytes.

    Raises:
        InputError: as for :func:`read_limited`, or the file is not valid JSON.
    """
    data = read_limited(path, limit, kind)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The {kind} is not valid JSON: {error}.", where=str(path), fix="restore the file"
        ) from error


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate errors of a full or failing disk to a :class:`ServiceError` at ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ServiceError(
                f"No space left to write the file: {error.strerror}.",
                where=str(path),
                fix="free some space or choose another directory, then run the same command again",
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
            raise ServiceError(
                f"The file cannot be written: {error.strerror}.",
                where=str(path),
                fix="check the directory's permissions, or choose another directory",
            ) from error
        raise


@contextlib.contextmanager
def _place_errors(path: Path) -> Iterator[None]:
    """Translate errors of an unusable path to an :class:`InputError` at ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise InputError(
            f"The file cannot be created: {error.strerror}.", where=str(path), fix="choose another path"
        ) from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file; it replaces ``path`` only if the block succeeds.

    The bytes are synced to disk before the rename, and parent directories are created. The mode is 0644
    less the umask, for other users of a shared volume.

    Raises:
        InputError: the path is a directory, or a parent is a file.
        ServiceError: the disk is full or not writable.
    """
    with disk_errors(path):
        with _place_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=path.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            partial.chmod(0o644 & ~_umask())
            with _place_errors(path):
                partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_write(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with a final newline, atomically."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def sweep_partials(folder: Path) -> None:
    """Delete unfinished files of killed processes directly inside ``folder``."""
    for left in folder.glob(PARTIAL_PREFIX + "*"):
        if left.is_file():
            left.unlink(missing_ok=True)


_LOCK_PAUSE = 0.5
_LOCK_ATTEMPTS = 1000
"""Limit for retries: some file systems (/proc) report a missing directory when they refuse to create it."""


@contextlib.contextmanager
def only_one(folder: Path, doing: str) -> Iterator[None]:
    """Lock ``folder`` against other commands, creating it if missing.

    The kernel releases the lock when the process ends, however it ends. The lock file is deleted at the end
    of the block; after a kill it stays, and the next process takes it over.

    Args:
        folder: the directory to lock.
        doing: completes the error "Another process is already ... here."

    Raises:
        InputError: another process still holds the lock after ``LOCK_PATIENCE`` seconds (default: 0).
        ServiceError: the directory cannot be created.
    """
    path = folder / LOCK_FILE
    with _locked(path, doing) as lock:
        try:
            yield
        finally:
            # The block may have deleted the directory, and another process may hold a new lock there. Unlink
            # ours while still locked: a process with the old file open notices and tries again.
            if _is_at(lock, path):
                path.unlink()


def _locked(path: Path, doing: str) -> IO[bytes]:
    """Open and lock the lock file, and make sure the path still refers to it."""
    end = time.monotonic() + float(os.environ.get(LOCK_PATIENCE) or 0)
    attempts = 0
    while attempts < _LOCK_ATTEMPTS:
        attempts += 1
        # Another command may delete the file or the directory between any two of these steps.
        with contextlib.suppress(FileNotFoundError), disk_errors(path), contextlib.ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                if path.parent.is_dir() or not os.path.lexists(path.parent):
                    continue
                raise InputError(
                    "A file is in the place of the directory.",
                    where=str(path.parent),
                    fix="choose another directory",
                ) from error
            lock = stack.enter_context(_open_lock(path))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < end:
                    attempts = 0
                    time.sleep(_LOCK_PAUSE)
                    continue
                raise InputError(
                    f"Another process is already {doing} here.",
                    where=str(path.parent),
                    fix="wait for it to end, or stop it, then run the same command again",
                ) from None
            if _is_at(lock, path):
                stack.pop_all()
                return lock
    raise ServiceError(
        "The directory cannot be created, or keeps disappearing.",
        where=str(path.parent),
        fix="choose a writable directory",
    )


def _is_at(file: IO[bytes], path: Path) -> bool:
    """True if ``path`` refers to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _open_lock(path: Path) -> IO[bytes]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise InputError(
                "The lock file is a link or a directory.", where=str(path), fix="remove it"
            ) from error
        raise
    return os.fdopen(handle, "r+b", buffering=0)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
