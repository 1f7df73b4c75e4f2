"""The outcome of a check, and the plug point of checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor."""

    state: State
    text: str
    fix: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The finding as ``--json`` prints it."""
        return vars(self)


@dataclass(frozen=True)
class Check:
    """A named check."""

    name: str
    run: Callable[[], Finding]
    seconds: float = 5
    """Time after which it counts as unanswered."""


def program_output(*command: str, seconds: float = 4) -> str | None:
    """Standard output and error of a program; ``None`` if it is missing, fails or does not end."""
    import subprocess

    try:
        done = subprocess.run(
            command, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return (done.stdout + done.stderr)[:100_000].decode(errors="replace")
