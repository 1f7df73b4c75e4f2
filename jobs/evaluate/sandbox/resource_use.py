"""Resources of a tree of processes, and processes of a user."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATUS = re.compile(rb"^Uid:\t(\d+).*?^Threads:\t(\d+)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Use:
    """Resources of a tree of processes.

    Attributes:
        memory: resident bytes. Shared pages count once for each process, so this is an upper bound.
        threads: of all processes together.
    """

    memory: int
    threads: int


def resource_use(root: int) -> Use:
    """Use of a process and all its descendants; processes that end meanwhile count nothing.

    Source: proc(5), ``statm``, ``/proc/PID/task/TID/children``.
    """
    memory, threads, waiting = 0, 0, [root]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        try:
            memory += int((process / "statm").read_text().split()[1]) * _PAGE
            for thread in (process / "task").iterdir():
                threads += 1
                waiting += [int(child) for child in (thread / "children").read_text().split()]
        except (OSError, IndexError):
            continue
    return Use(memory, threads)


def threads_of_user(user: int) -> int:
    """Threads of a user, as far as they can be seen here, as RLIMIT_NPROC counts them.

    Source: proc(5), ``/proc/PID/status``; the owner of ``/proc/PID`` is another one for some processes.
    """
    total = 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdigit():
                continue
            try:
                found = _STATUS.search(Path(entry.path, "status").read_bytes())
            except OSError:
                continue
            if found is not None and int(found[1]) == user:
                total += int(found[2])
    return total
