"""A seccomp filter: system calls that programs which compute never need, and exploits of kernels do.

A denied call fails with EPERM, clone3 with ENOSYS so that libc falls back to clone, whose flags can be read.
Numbers: Linux, ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h``.
Format: Linux, ``Documentation/userspace-api/seccomp_filter.rst`` and ``struct sock_filter``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in ``struct seccomp_data``."""
_NEW_NAMESPACES = 0x7E020080
"""Every CLONE_NEW* flag of clone."""
_X32 = 0x40000000


@dataclass(frozen=True)
class _Machine:
    audit: int
    clone: int
    clone3: int
    prlimit: int
    denied: dict[str, int]


_X86_64 = {
    # Other processes.
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "pidfd_getfd": 438, "kcmp": 312,
    "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "sched_setaffinity": 203,
    "sched_setattr": 314, "ioprio_set": 251,
    # Namespaces and mounts.
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "fsopen": 430, "fsmount": 432, "move_mount": 429, "open_tree": 428, "mount_setattr": 442,
    "open_by_handle_at": 304, "name_to_handle_at": 303,
    # The kernel.
    "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313,
    "delete_module": 176, "quotactl": 179, "acct": 163, "swapon": 167, "swapoff": 168, "syslog": 103,
    "reboot": 169, "personality": 135, "vmsplice": 278, "clock_settime": 227, "settimeofday": 164,
    # Memory that no limit of a process counts.
    "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240,
    # The network.
    "socket": 41,
}  # fmt: skip

_AARCH64 = {
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "pidfd_getfd": 438, "kcmp": 272,
    "setpriority": 140, "sched_setparam": 118, "sched_setscheduler": 119, "sched_setaffinity": 122,
    "sched_setattr": 274, "ioprio_set": 30,
    "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
    "fsopen": 430, "fsmount": 432, "move_mount": 429, "open_tree": 428, "mount_setattr": 442,
    "open_by_handle_at": 265, "name_to_handle_at": 264,
    "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241,
    "userfaultfd": 282, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "kexec_load": 104, "kexec_file_load": 294, "init_module": 105, "finit_module": 273,
    "delete_module": 106, "quotactl": 60, "acct": 89, "swapon": 224, "swapoff": 225, "syslog": 116,
    "reboot": 142, "personality": 92, "vmsplice": 75, "clock_settime": 112, "settimeofday": 170,
    "memfd_create": 279, "memfd_secret": 447, "shmget": 194, "msgget": 186, "semget": 190, "mq_open": 180,
    "socket": 198,
}  # fmt: skip

_MACHINES = {
    "x86_64": _Machine(0xC000003E, 56, 435, 302, _X86_64),
    "aarch64": _Machine(0xC00000B7, 220, 435, 261, _AARCH64),
}


def seccomp_filter(machine: str) -> bytes | None:
    """The filter as ``bwrap --seccomp`` reads it; ``None`` for an unknown machine.

    Args:
        machine: as :func:`platform.machine` returns it.
    """
    known = _MACHINES.get(machine)
    if known is None:
        return None
    program = [
        # Another architecture's calls have other numbers; so have those of x32.
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, known.audit, yes=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _X32, no=1),
        _line(_RETURN, _KILL),
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
    for number in sorted(known.denied.values()):
        program += [_line(_EQUAL, number, no=1), _line(_RETURN, _ERRNO | _EPERM)]
    return b"".join([*program, _line(_RETURN, _ALLOW)])


def _line(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
