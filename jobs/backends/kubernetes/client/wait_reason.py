"""A reason for which a job is waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["queue", "suspended", "quota", "node", "image", "volume", "policy", "cluster", "starting"]

REPLACE = "submit the recipe again with --replace"
"""Advice: corrected options take effect only in a new job."""


@dataclass(frozen=True)
class WaitReason:
    """The reason for a wait.

    Attributes:
        kind: of the reason; ``cluster`` for a warning of the cluster in its own words.
        what: explanation, shown after "Waiting: ".
        fix: advice to the user, if any.
    """

    kind: Kind
    what: str
    fix: str | None = None

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind}: {self.what}" if self.kind != "starting" else self.what
