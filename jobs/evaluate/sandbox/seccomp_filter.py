"""Seccomp filters: system calls that programs which compute never need, and exploits of kernels do.

A denied call fails with EPERM, clone3 with ENOSYS so that libc falls back to clone, whose flags can be read.
Numbers: :mod:`starfreight.jobs.evaluate.sandbox.system_calls`.
Format: Linux, ``Documentation/userspace-api/seccomp_filter.rst`` and ``struct sock_filter``.
"""

from __future__ import annotations

import struct
from typing import Literal

from starfreight.jobs.evaluate.sandbox.system_calls import MACHINES, Machine

_LOAD, _AND, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _EAGAIN, _ENOSYS = 1, 11, 38
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets in ``struct seccomp_data``."""
_NEW_NAMESPACES = 0x7E020080
"""Every CLONE_NEW* flag of clone."""
_THREAD = 0x00010000
"""CLONE_THREAD."""
_KIND_OF_SOCKET, _STREAM = 0xF, 1
_X32 = 0x40000000


def seccomp_filter(machine: str, *, around: Literal["namespaces", "user", "shared user"]) -> bytes | None:
    """The filter as ``bwrap --seccomp`` and the kernel read it; ``None`` for an unknown machine.

    Args:
        machine: as :func:`platform.machine` returns it.
        around: the rest of the confinement: namespaces; a user id of the sandbox's own; or nothing
            but Landlock around processes of the user who started it.
    """
    known = MACHINES.get(machine)
    if known is None:
        return None
    denied = {**known.denied}
    if around != "namespaces":
        denied |= known.denied_without_namespaces
    if around == "shared user":
        denied |= known.denied_for_shared_user
    program = [
        *_begin(known),
        _line(_EQUAL, known.clone, no=4),
        _line(_LOAD, _FIRST_ARGUMENT),
        _line(_BITS, _NEW_NAMESPACES, no=1),
        _line(_RETURN, _ERRNO | _EPERM),
        _line(_LOAD, _NUMBER),
        _line(_EQUAL, known.clone3, no=1),
        _line(_RETURN, _ERRNO | _ENOSYS),
        # A process may lower its own limits, and nobody else's.
        _line(_EQUAL, known.prlimit, no=4),
        _line(_LOAD, _FIRST_ARGUMENT),
        _line(_EQUAL, 0, yes=1),
        _line(_RETURN, _ERRNO | _EPERM),
        _line(_LOAD, _NUMBER),
    ]
    if around != "namespaces":
        program += [
            # A pair of streams stays a pair; other kinds can send to any socket of the machine.
            _line(_EQUAL, known.socketpair, no=5),
            _line(_LOAD, _SECOND_ARGUMENT),
            _line(_AND, _KIND_OF_SOCKET),
            _line(_EQUAL, _STREAM, yes=1),
            _line(_RETURN, _ERRNO | _EPERM),
            _line(_LOAD, _NUMBER),
        ]
    for number in sorted(denied.values()):
        program += [_line(_EQUAL, number, no=1), _line(_RETURN, _ERRNO | _EPERM)]
    return b"".join([*program, _line(_RETURN, _ALLOW)])


def no_processes_filter(machine: str) -> bytes:
    """A filter that allows threads, and no new processes."""
    known = MACHINES[machine]
    program = [
        *_begin(known),
        _line(_EQUAL, known.clone, no=4),
        _line(_LOAD, _FIRST_ARGUMENT),
        _line(_BITS, _THREAD, yes=1),
        _line(_RETURN, _ERRNO | _EAGAIN),
        _line(_LOAD, _NUMBER),
    ]
    for number in known.forks:
        program += [_line(_EQUAL, number, no=1), _line(_RETURN, _ERRNO | _EAGAIN)]
    return b"".join([*program, _line(_RETURN, _ALLOW)])


def _begin(known: Machine) -> list[bytes]:
    """Loads the number of the call."""
    return [
        # Another architecture's calls have other numbers; so have those of x32.
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, known.audit, yes=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _X32, no=1),
        _line(_RETURN, _KILL),
    ]


def _line(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
