"""A process of this machine, told from any other that gets its number later."""

from __future__ import annotations

import os
from pathlib import Path

_ENDED = ("Z", "X")
"""A zombie only waits for somebody to ask how it ended."""


def process_identity(number: int) -> str | None:
    """The machine's boot and the moment in it at which a process began; ``None`` when it is gone."""
    try:
        # The name, in brackets, may hold anything; what follows its last bracket does not.
        fields = Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ProcessLookupError):
        return None
    return None if fields[0] in _ENDED else f"{boot} {fields[19]}"


def is_alive(number: int, identity: str | None) -> bool:
    """Whether this very process still runs."""
    return identity is not None and process_identity(number) == identity


def open_process(number: int, identity: str | None) -> int | None:
    """A file descriptor of this very process, or ``None`` when it is gone.

    What is sent by it cannot reach another process that has got the number since.
    """
    try:
        handle = os.pidfd_open(number)
    except OSError:
        return None
    if is_alive(number, identity):
        return handle
    os.close(handle)
    return None
