"""How full the disk or volume of a directory is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import human_count

WARN_FROM = 0.85
"""Fraction in use from which users are warned."""


@dataclass(frozen=True)
class DiskUse:
    """Space of a file system, in bytes.

    Attributes:
        total: all of it that users can have.
        free: what is left for users.
    """

    total: int
    free: int

    @property
    def used(self) -> float:
        """Fraction in use, from 0 to 1."""
        return 1 - self.free / self.total if self.total else 0.0

    @property
    def nearly_full(self) -> bool:
        """True if users are to be warned."""
        return self.used > WARN_FROM

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"total": self.total, "free": self.free, "used": round(self.used, 4)}

    def in_words(self) -> str:
        """E.g. ``87% full, 12 GB free of 100 GB``."""
        return f"{self.used:.0%} full, {human_count(self.free, 'B')} free of {human_count(self.total, 'B')}"


def disk_use(path: Path) -> DiskUse | None:
    """Space of the file system with a directory; ``None`` if it is unknown, e.g. on some network volumes."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    total = (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize
    return DiskUse(total, found.f_bavail * found.f_frsize) if total > 0 else None
