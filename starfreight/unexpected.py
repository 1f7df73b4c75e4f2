"""Exceptions that no code expected, as errors with what, where, what next and a documented exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from starfreight.errors import ServiceError, StarfreightError, UnexpectedError
from starfreight.files import system_error_number

TRACEBACK = "STARFREIGHT_TRACEBACK"
"""Set to anything, this environment variable shows the traceback of each error."""

_PACKAGE = Path(__file__).resolve().parent
_OUTSIDE = frozenset(
    (
        "docker", "http", "httpcore", "httpx", "huggingface_hub", "kubernetes", "oras", "requests", "sqlite3",
        "ssl", "urllib3",
    )
)  # fmt: skip
"""Libraries whose exceptions are failures of something outside: a service, the network, a cache's file."""
_NO_MEMORY = re.compile(
    r"not enough memory|can(no|')t allocate memory|out of memory|failed to map segment|can't start new thread"
    r"|bad_alloc|unable to allocate",
    re.IGNORECASE,
)
_SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
_LONGEST = 300


def explain(error: BaseException) -> StarfreightError:
    """Makes an error for people from any exception.

    Returns:
        the exception if it is a :class:`StarfreightError`; a :class:`ServiceError` if memory, a disk, the
        operating system or a service failed, including when a library wraps its exception; an
        :class:`UnexpectedError` otherwise.
    """
    if isinstance(error, StarfreightError):
        return error
    chain = list(_chain(error))
    if any(_is_memory(each) for each in chain):
        return ServiceError(
            "The memory of this machine, or the limit on it (ulimit -v, a container's), is not enough.",
            where=_place(error),
            fix="free some memory or raise the limit, then run the same command again",
        )
    for each in chain:
        if (found := _of_the_system(each, first=each is error)) is not None:
            return found
    library = type(error).__module__.partition(".")[0]
    if library in _OUTSIDE:
        return ServiceError(
            f"{library} reported {_said(error)}.",
            where=_place(error),
            fix="check the network, the credentials and the disk, then run the same command again",
        )
    return UnexpectedError(
        f"Starfreight failed in a way that it does not expect: {_said(error)}.",
        where=_place(error),
        fix=f"this is a bug: please report it with the traceback, which {TRACEBACK}=1 shows",
    )


def explain_to_job(error: BaseException) -> StarfreightError:
    """Like :func:`explain`, in the process of a job, whose log gets the traceback."""
    explained = explain(error)
    if explained is not error:
        traceback.print_exception(error)
    if isinstance(explained, UnexpectedError):
        fix = "this is a bug: please report it with the traceback at the end of the job's log"
        return UnexpectedError(explained.what, where=explained.where, fix=fix)
    return explained


def print_traceback(error: BaseException) -> None:
    """Prints the traceback to standard error if the environment variable :data:`TRACEBACK` is set."""
    if os.environ.get(TRACEBACK):
        from starfreight.console import harmless

        print(harmless("".join(traceback.format_exception(error))), end="", file=sys.stderr)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields the exception, and those that it was raised from or while handling."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _is_memory(error: BaseException) -> bool:
    # By name: the class of torch is not imported for other errors.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError | ImportError | SystemError) and bool(_NO_MEMORY.search(str(error)))


def _of_the_system(error: BaseException, *, first: bool) -> StarfreightError | None:
    """The error for a refusal by the operating system; of an earlier exception only for a lack of space."""
    number = system_error_number(error)
    where = error.filename if isinstance(error, OSError) and isinstance(error.filename, str) else None
    if number is None and not (first and type(error).__module__ == "builtins" and isinstance(error, OSError)):
        return None
    if not first and number not in _SCARCE:
        return None
    if isinstance(error, OSError) or number not in errno.errorcode:
        reason = getattr(error, "strerror", None) or _said(error)
    else:
        reason = os.strerror(number or 0)
    return ServiceError(
        f"The operating system reported: {reason}.",
        where=where or (None if isinstance(error, OSError) else _place(error)),
        fix="check the path, its permissions and the free space, then run the same command again",
    )


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0][:_LONGEST].rstrip('.')}" if lines else name


def _place(error: BaseException) -> str | None:
    """The innermost line of this package that the exception passed through."""
    place = None
    frame = error.__traceback__
    while frame is not None:
        path = Path(frame.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            place = f"{path.relative_to(_PACKAGE.parent)}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return place
