"""Atomic files and digests."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any

from starfreight.directories import Directory, open_directory
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.strict_json import unique_names

PARTIAL_PREFIX = ".partial-"
"""Name prefix of unfinished files. Those left by a killed process are safe to delete."""

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

    Raises:
        InputError: it is a pipe, a device or a directory.
    """
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
            advance(len(piece))
    return "sha256:" + digest.hexdigest()


@contextlib.contextmanager
def open_regular(path: Path, kind: str = "file", *, follow: bool = True) -> Iterator[IO[bytes]]:
    """Open a regular file for reading; never a pipe or a device, which may block or never end.

    Args:
        path: the file.
        kind: noun for error messages.
        follow: accept a symbolic link to a regular file as the last part of the path.

    Raises:
        InputError: it is a pipe, a device or a directory, or a link and ``follow`` is false.
        OSError: it is missing or unreadable.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENODEV) or (error.errno == errno.ELOOP and not follow):
            raise _not_regular(path, f"The {kind} is not a regular file.") from error
        raise
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = "is not a file" if stat.S_ISDIR(mode) else "is a pipe or a device, not a regular file"
        raise _not_regular(path, f"The {kind} {what}.")
    with os.fdopen(handle, "rb") as stream:
        yield stream


def _not_regular(path: Path, what: str) -> InputError:
    return InputError(what, where=str(path), fix="put a regular file in its place, or name another one")


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
        with open_regular(path, kind) as stream:
            data = stream.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # The last one for NUL in the path.
        raise InputError(f"The {kind} does not exist.", where=str(path), fix="check the path") from None
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
        InputError: as for :func:`read_limited`, or the file is not valid JSON or gives a name twice.
    """
    data = read_limited(path, limit, kind)
    try:
        return json.loads(data, object_pairs_hook=unique_names)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The {kind} is not valid JSON: {error}.", where=str(path), fix="restore the file"
        ) from error


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate errors of a full or failing disk to a :class:`ServiceError` at ``path``.

    Exceptions of libraries count, too: of sqlite3, safetensors and torch, which write files themselves.
    """
    try:
        yield
    except StarfreightError:
        raise
    except Exception as error:
        number = system_error_number(error)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ServiceError(
                f"No space left to write the file: {os.strerror(number)}.",
                where=str(path),
                fix="free some space or choose another directory, then run the same command again",
            ) from error
        if number in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
            raise ServiceError(
                f"The file cannot be written: {os.strerror(number)}.",
                where=str(path),
                fix="check the directory's permissions, or choose another directory",
            ) from error
        raise


_REPORTED_NUMBER = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]|errno: (\d+)")
_REPORTED_FULL = re.compile(
    r"no space left on device|disk quota exceeded|disk is full|disk I/O error|StreamWriter failed writing"
    # torch.save, whose writer finds its file shorter than what it has written.
    r"|iostream error|inline_container\.cc.*unexpected pos",
    re.IGNORECASE,
)


def system_error_number(error: BaseException) -> int | None:
    """The operating system's number of an error (:mod:`errno`), also if a library has made it its own text.

    Returns:
        ``None`` if the system did not cause the error.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if match := _REPORTED_NUMBER.search(str(error)):
        return int(next(filter(None, match.groups())))
    return errno.ENOSPC if _REPORTED_FULL.search(str(error)) else None


@contextlib.contextmanager
def place_errors(path: Path) -> Iterator[None]:
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
def atomic_write(path: Path, below: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary file; it replaces ``path`` only if the block succeeds.

    The bytes are synced to disk before the rename, and parent directories are created. The mode is 0644
    less the umask, for other users of a shared volume.

    Args:
        path: the file. A link there is replaced, not followed.
        below: a directory from which ``path`` starts; its subdirectories may not be links.

    Raises:
        InputError: the path is a directory, a parent is a file, or a subdirectory of ``below`` is a link.
        ServiceError: the disk is full or not writable.
    """
    with disk_errors(path), contextlib.ExitStack() as stack:
        with place_errors(path):
            folder = stack.enter_context(open_directory(path.parent, below, create=True))
            handle, partial = _create_partial(folder)
        try:
            with os.fdopen(handle, "wb+") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                os.fchmod(stream.fileno(), 0o644 & ~_umask())
            with place_errors(path):
                folder.rename(partial, path.name)
        except BaseException:
            folder.delete(partial)
            raise


def _create_partial(folder: Directory) -> tuple[int, str]:
    while True:
        name = PARTIAL_PREFIX + os.urandom(6).hex()
        with contextlib.suppress(FileExistsError):
            return folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), name


def write_bytes(path: Path, data: bytes, below: Path | None = None) -> None:
    """Write a file atomically; ``below`` as for :func:`atomic_write`."""
    with atomic_write(path, below) as stream:
        stream.write(data)


def write_json(path: Path, value: Any, below: Path | None = None) -> None:
    """Write indented JSON with a final newline, atomically; ``below`` as for :func:`atomic_write`."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n", below)


def sweep_partials(folder: Path, below: Path | None = None) -> None:
    """Delete unfinished files of killed processes directly inside ``folder``, which may be missing.

    Raises:
        InputError: ``folder``, or a parent below the root ``below``, is a symbolic link.
    """
    with contextlib.suppress(FileNotFoundError), open_directory(folder, below) as directory:
        for name in directory.names():
            if name.startswith(PARTIAL_PREFIX):
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
                    if not stat.S_ISDIR(status.st_mode):
                        directory.delete(name)


def refuse_other_contents(folder: Path, names: Collection[str], kind: str, fix: str) -> None:
    """Make sure that a directory has no entries but these and partial files; it need not exist.

    Args:
        folder: the directory.
        names: of the entries that may be there.
        kind: completes "something other than", such as ``a package``.
        fix: the user's next step if there are others.

    Raises:
        InputError: there are others, it is a file, or inside a package, which a further file would damage.
    """
    for above in Path(os.path.realpath(folder)).parents:
        # Not Path.exists, which raises PermissionError.
        if all(os.access(above / name, os.F_OK) for name in ("oci-layout", "package.json")):
            raise InputError(
                "The directory is inside a package, which may hold no further file.",
                where=str(folder),
                fix=f"choose a directory outside of {above}",
            )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError("A file has this name.", where=str(folder), fix="choose another directory")
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in names and not entry.name.startswith(PARTIAL_PREFIX)
    )
    if others:
        raise InputError(
            f"The directory holds something other than {kind}: {others[0]!r}"
            + (f" and {len(others) - 1} more." if len(others) > 1 else "."),
            where=str(folder),
            fix=fix,
        )


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
