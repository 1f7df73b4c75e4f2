"""Confinement of a server without namespaces: Landlock, seccomp, no new privileges.

Numbers: Linux, ``include/uapi/linux/landlock.h`` and ``prctl.h``. Landlock's calls have the same numbers on
every processor.
"""

from __future__ import annotations

from dataclasses import dataclass

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
READ = EXECUTE | READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
ALL = (1 << 16) - 1
"""All rights to files of ABI 5 to 8."""
_TCP = 0b11
"""Binding and connecting."""
_SCOPES = 0b11
"""Abstract sockets and signals stay inside: ABI 6."""

_SOURCE = """
def _call(libc, number, *arguments):
    import ctypes
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "call of the kernel")
    return result


def _restrict(libc, files, network, rules):
    import ctypes, struct
    attributes = struct.pack("=QQQ", files, network, {scopes})
    ruleset = _call(libc, 444, attributes, ctypes.c_size_t(len(attributes)), 0)
    for path, rights in rules:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _call(libc, 445, ruleset, 1, struct.pack("=Qi", rights, place), 0)
        os.close(place)
    _call(libc, 446, ruleset, 0)
    os.close(ruleset)


def _filter(libc, program):
    import ctypes, struct
    held = ctypes.create_string_buffer(program, len(program))
    if libc.prctl(22, 2, struct.pack("@HP", len(program) // 8, ctypes.addressof(held)), 0, 0):
        raise OSError(ctypes.get_errno(), "filter of system calls")


def _confine(libc):
    import struct
    # Capabilities, the right to get them, and processes whose parents have ended.
    libc.syscall(126 if {x86_64!r} else 91, struct.pack("=Ii", 0x20080522, 0), bytes(24))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(36, 1, 0, 0, 0):
        raise OSError("prctl")
    _restrict(libc, {files}, {network}, {rules!r})
    # Ending all boxes sends a signal to everything in reach: make sure that this is nothing else.
    for process in (os.getppid(), 1):
        try:
            os.kill(process, 0)
        except PermissionError:
            continue
        os._exit(1)
    _filter(libc, {filter!r})


def _confine_box(libc):
    # Nested: signals do not even reach the server.
    _restrict(libc, 0, 0, ())
    libc.prctl(1, 9, 0, 0, 0)
    if {box_filter!r}:
        _filter(libc, {box_filter!r})
"""


@dataclass(frozen=True)
class Rule:
    """Rights to a file, or to a directory and everything below it."""

    path: str
    rights: int


def landlock_source(rules: tuple[Rule, ...], filter: bytes, box_filter: bytes | None, *, x86_64: bool) -> str:
    """Source text for :attr:`ServerOptions.more`.

    Args:
        rules: rights to files; there are no others.
        filter: of system calls, for the server and its boxes.
        box_filter: another one for the boxes.
        x86_64: the processor; otherwise aarch64.
    """
    return _SOURCE.format(
        scopes=_SCOPES,
        files=ALL,
        network=_TCP,
        rules=[(rule.path, rule.rights) for rule in rules],
        filter=filter,
        box_filter=box_filter,
        x86_64=x86_64,
    )
