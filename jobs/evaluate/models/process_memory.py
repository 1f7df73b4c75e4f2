"""The memory of other processes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+([0-9]+) kB$", re.MULTILINE)


def peak_memory(processes: Sequence[int], proc: Path = Path("/proc")) -> int | None:
    """Bytes of the largest resident memory of each process, summed; ``None`` if the system does not tell.

    Pages of a mapped file count, once for each process.
    """
    total = 0
    for process in processes:
        try:
            found = _PEAK.search((proc / str(process) / "status").read_text())
        except OSError:
            return None
        if found is None:
            return None
        total += int(found[1]) << 10
    return total or None
