"""User ids for boxes of root, one for each sandbox: RLIMIT_NPROC does not bind root, and counts by user."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

_FIRST, _COUNT = 1_879_048_192, 1 << 28
"""Far from any in use, below 2**31."""
_numbers = itertools.count()


def box_user() -> int | None:
    """A user and group id for a new sandbox; ``None`` if this process cannot take on another one."""
    if os.geteuid() != 0 or not _may_change():
        return None
    first, count = _mapped()
    # Processes have different numbers, and so have the sandboxes of each.
    return first + (os.getpid() * 64 + next(_numbers) % 64) % count


def _mapped() -> tuple[int, int]:
    """Ids to choose from, in this user namespace."""
    best = 0
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, _, length = map(int, line.split())
        if inside <= _FIRST and inside + length >= _FIRST + _COUNT:
            return _FIRST, _COUNT
        best = max(best, inside + length)
    # The upper half of few ids, e.g. 32768 to 65535.
    return max(1, best // 2), max(1, best - best // 2 - 2)


def _may_change() -> bool:
    """True with CAP_SETGID (6), CAP_SETUID (7) and CAP_CHOWN (0)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
            return all(effective >> bit & 1 for bit in (0, 6, 7))
    return False
