"""The processors and the memory that this process may use, by its container's limits."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def usable_processors() -> int:
    """The number of processors, by the process's affinity and its container's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # Not on macOS.
        count = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        if quota != "max":
            count = min(count, -(-int(quota) // int(period)))
    return max(1, count)


def available_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes of memory that can be used without swapping; ``None`` if the system does not say.

    Args:
        meminfo: the kernel's figures for the machine.
        cgroup: the control group (version 2) of the container.
    """
    free = _machine_memory(meminfo)
    with contextlib.suppress(OSError, ValueError, KeyError):
        most = int((cgroup / "memory.max").read_text())  # A word if there is no limit.
        used = int((cgroup / "memory.current").read_text())
        rows = (line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        # The cache of files counts as used, but gives way.
        files = sum(int(row[1]) for row in rows if row[0] in ("active_file", "inactive_file"))
        left = max(0, most - used + files)
        free = left if free is None else min(free, left)
    return free


def _machine_memory(meminfo: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
