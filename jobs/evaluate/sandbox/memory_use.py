"""Memory of a tree of processes."""

from __future__ import annotations

from pathlib import Path

_PAGE = 4096


def memory_use(root: int) -> int:
    """Resident bytes of a process and all its descendants; processes that end meanwhile count nothing.

    Shared pages count once for each process, so this is an upper bound. Source: proc(5), ``statm``,
    ``/proc/PID/task/TID/children``.
    """
    total, waiting = 0, [root]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        try:
            total += int((process / "statm").read_text().split()[1]) * _PAGE
            for thread in (process / "task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
        except (OSError, IndexError):
            continue
    return total
