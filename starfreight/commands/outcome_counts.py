"""Counts of passed and failed programs, with the reasons, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "passed": "passed",
    "failed": "failed their tests",
    "undefined": "did not define the function",
    "compile": "did not compile",
    "exited": "ended before their tests did",
    "time": "ran out of time",
    "memory": "used too much memory",
    "output": "wrote too much",
    "disk": "used too much disk",
    "processes": "started too many processes",
    "killed": "ended the sandbox",
    "forged": "passed a test that nothing passes",
    "different": "differed from the expected text",
    "missing": "lacked a required text",
    "untested": "could not be tested",
}


def outcomes_text(settings: Mapping[str, Any]) -> str | None:
    """Completions that passed, and reasons of the others; ``None`` for a suite without such counts."""
    outcomes = settings.get("outcomes")
    if not isinstance(outcomes, dict) or type(outcomes.get("passed")) is not int:
        return None
    counts = [(name, count) for name, count in outcomes.items() if type(count) is int]
    return ", ".join(
        f"{count:,} {_WORDS.get(name, name)}" for name, count in counts if count or name == "passed"
    )
