"""Identifies a process of this machine, so that a later one with the same number is not mistaken for it."""

from __future__ import annotations

import os
from pathlib import Path

_ENDED = ("Z", "X")
"""States of processes that have ended; a zombie remains until its parent reads its exit code."""


def process_identity(number: int) -> str | None:
    """Id of the machine's boot and start time of a process; ``None`` if it has ended."""
    try:
        # The name of the program, in parentheses, may contain any character, hence the last parenthesis.
        fields = Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ProcessLookupError):
        return None
    return None if fields[0] in _ENDED else f"{boot} {fields[19]}"


def is_alive(number: int, identity: str | None) -> bool:
    """True if the process with this identity is running."""
    return identity is not None and process_identity(number) == identity


def open_process(number: int, identity: str | None) -> int | None:
    """A file descriptor of the process with this identity, or ``None`` if it has ended.

    A signal sent through it cannot reach a later process with the same number.
    """
    try:
        handle = os.pidfd_open(number)
    except OSError:
        return None
    if is_alive(number, identity):
        return handle
    os.close(handle)
    return None
