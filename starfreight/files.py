"""Files that are either whole or not there, and bytes that are known by their digest."""

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
"""Files that a killed process may leave behind start with this. They are safe to delete."""

LOCK_FILE = ".lock"
"""Lies in a folder as long as a command writes there."""

LOCK_PATIENCE = "STARFREIGHT_LOCK_PATIENCE"
"""Seconds to wait for a lock. In a cluster the pod before this one may still be writing its checkpoint."""

_CHUNK = 1 << 20
_NO_PLACE = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL
)  # fmt: skip


def canonical_json(value: Any) -> bytes:
    """``value`` as JSON with sorted keys and no spare space, so that equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_bytes(data: bytes) -> str:
    """The digest of ``data`` as ``sha256:<64 hex digits>``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_file(path: Path, advance: Callable[[int], object] = lambda count: None) -> str:
    """The digest of a file as ``sha256:<64 hex digits>``, read in pieces of 1 MiB.

    Args:
        path: the file.
        advance: is told the size of each piece in bytes.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
            advance(len(piece))
    return "sha256:" + digest.hexdigest()


def read_limited(path: Path, limit: int, kind: str) -> bytes:
    """The bytes of a file that must not be larger than ``limit`` bytes.

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
            f"The {kind} is larger than {limit:,} bytes, which no sound one is.",
            where=str(path),
            fix="check that this is the file you meant",
        )
    return data


def read_json(path: Path, limit: int, kind: str) -> Any:
    """A JSON file of at most ``limit`` bytes.

    Raises:
        InputError: as :func:`read_limited`, or the file is not JSON.
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
    """Turns a full or failing disk into a :class:`ServiceError` that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ServiceError(
                f"There is no room left to write: {error.strerror}.",
                where=str(path),
                fix="free some space or choose another folder, then run the same command again",
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
            raise ServiceError(
                f"The file cannot be written: {error.strerror}.",
                where=str(path),
                fix="check the folder's permissions, or choose another folder",
            ) from error
        raise


@contextlib.contextmanager
def _place_errors(path: Path) -> Iterator[None]:
    """Turns a path at which no file can be made into an :class:`InputError` that names it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise InputError(
            f"No file can be made there: {error.strerror}.", where=str(path), fix="choose another place"
        ) from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Opens a new file that takes ``path``'s place only when the block ends without an error.

    The bytes are synced to disk before the rename. Parent folders are made. The file's mode is
    0644 less the umask, so that other users of a shared volume can read it.

    Raises:
        InputError: no file can be there: a folder has that name, or a file that of its folder.
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
    """Writes ``data`` to ``path``, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON that ends with a newline, whole or not at all."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def sweep_partials(folder: Path) -> None:
    """Deletes what a killed process left half-written directly in ``folder``."""
    for left in folder.glob(PARTIAL_PREFIX + "*"):
        if left.is_file():
            left.unlink(missing_ok=True)


_LOCK_PAUSE = 0.5
_LOCK_ATTEMPTS = 1000
"""Some file systems (/proc) say of a folder that it is not there when they will not make it."""


@contextlib.contextmanager
def only_one(folder: Path, doing: str) -> Iterator[None]:
    """Holds a lock on ``folder`` so that two commands never write the same one.

    The lock is the kernel's, so it ends with the process that held it, however that ended. Its file is gone
    when the block ends; only a killed process leaves it, and the next one takes it over.

    Raises:
        InputError: another process holds the lock, and has not left it in the time that ``LOCK_PATIENCE`` in
            the environment says, which is none when it is not set.
    """
    path = folder / LOCK_FILE
    with _locked(path, doing) as lock:
        try:
            yield
        finally:
            # The block may have deleted the folder, and another process may hold a new lock there. Ours is
            # unlinked while it is still locked; who opened it before that sees it gone and tries again.
            if _is_at(lock, path):
                path.unlink()


def _locked(path: Path, doing: str) -> IO[bytes]:
    """The lock file, open and locked, and still the one that its name leads to."""
    end = time.monotonic() + float(os.environ.get(LOCK_PATIENCE) or 0)
    attempts = 0
    while attempts < _LOCK_ATTEMPTS:
        attempts += 1
        # Another command may delete the file, or the whole folder, between any two of these steps.
        with contextlib.suppress(FileNotFoundError), disk_errors(path), contextlib.ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                if path.parent.is_dir() or not os.path.lexists(path.parent):
                    continue
                raise InputError(
                    "A file lies where the folder belongs.",
                    where=str(path.parent),
                    fix="choose another folder",
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
                    fix="wait until it has ended, or stop it, then run the same command again",
                ) from None
            if _is_at(lock, path):
                stack.pop_all()
                return lock
    raise ServiceError(
        "The folder cannot be made, or does not stay.",
        where=str(path.parent),
        fix="choose a folder that can be written to",
    )


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is the one that a path leads to."""
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
                "Something else lies where the lock belongs.", where=str(path), fix="remove it"
            ) from error
        raise
    return os.fdopen(handle, "r+b", buffering=0)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
