"""Numbers of the system calls that sandboxes deny.

Source: Linux, ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """System calls of a processor.

    Attributes:
        audit: its AUDIT_ARCH value.
        clone, clone3, prlimit, socketpair: numbers of calls whose arguments count.
        forks: calls that start a process, besides clone.
        denied: in every sandbox.
        denied_without_namespaces: where other processes of the machine are in reach, too.
        denied_for_shared_user: where those belong to the same user: Landlock lets a process change modes
            and times of files that it cannot open.
    """

    audit: int
    clone: int
    clone3: int
    prlimit: int
    socketpair: int
    forks: tuple[int, ...]
    denied: dict[str, int]
    denied_without_namespaces: dict[str, int]
    denied_for_shared_user: dict[str, int]


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

_NEW = {
    "pidfd_open": 434, "pidfd_send_signal": 424, "process_madvise": 440, "process_mrelease": 448,
    "fsconfig": 431, "fspick": 433, "open_tree_attr": 467, "statmount": 457, "listmount": 458,
    "quotactl_fd": 443,
}  # fmt: skip
"""Numbers that all processors share."""

_X86_64_OUTSIDE = _NEW | {
    "migrate_pages": 256, "move_pages": 279,
    # Segments and queues of other processes.
    "shmat": 30, "shmctl": 31, "semop": 65, "semctl": 66, "semtimedop": 220, "msgsnd": 69, "msgrcv": 70,
    "msgctl": 71, "mq_unlink": 241,
    # Sockets of the machine, by the way of a pair.
    "connect": 42, "accept": 43, "accept4": 288, "bind": 49, "listen": 50, "sendmsg": 46, "sendmmsg": 307,
    # Watching files without opening them; stalling the disk.
    "inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300, "sync": 162, "syncfs": 306,
    "io_setup": 206,
}  # fmt: skip

_AARCH64_OUTSIDE = _NEW | {
    "migrate_pages": 238, "move_pages": 239,
    "shmat": 196, "shmctl": 195, "semop": 193, "semctl": 191, "semtimedop": 192, "msgsnd": 189,
    "msgrcv": 188, "msgctl": 187, "mq_unlink": 181,
    "connect": 203, "accept": 202, "accept4": 242, "bind": 200, "listen": 201, "sendmsg": 211,
    "sendmmsg": 269,
    "inotify_init1": 26, "fanotify_init": 262, "sync": 81, "syncfs": 267, "io_setup": 0,
}  # fmt: skip

_FILES = {"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "file_setattr": 469}

_X86_64_FILES = _FILES | {
    "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260,
    "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
    "fremovexattr": 199, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280,
}  # fmt: skip

_AARCH64_FILES = _FILES | {
    "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "setxattr": 5, "lsetxattr": 6,
    "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "utimensat": 88,
}  # fmt: skip

MACHINES = {
    "x86_64": Machine(
        0xC000003E, 56, 435, 302, 53, (57, 58), _X86_64, _X86_64_OUTSIDE, _X86_64_FILES
    ),
    "aarch64": Machine(0xC00000B7, 220, 435, 261, 199, (), _AARCH64, _AARCH64_OUTSIDE, _AARCH64_FILES),
}  # fmt: skip
"""By the name that :func:`platform.machine` returns."""
