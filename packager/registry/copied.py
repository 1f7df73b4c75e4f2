"""The outcome of copying a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfreight.console import human_count


@dataclass(frozen=True)
class Copied:
    """The outcome of a copy."""

    source: str
    target: str
    tags: dict[str, str]
    """Digests by tag."""
    attachments: int
    bytes_sent: int
    bytes_mounted: int
    bytes_present: int
    withdrawn: str | None = None
    """Withdrawal of the release in words; it is copied, too."""

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return vars(self)

    def as_text(self) -> str:
        """The result for people."""
        amounts = (
            (self.bytes_sent, "sent"),
            (self.bytes_mounted, "mounted"),
            (self.bytes_present, "already there"),
        )
        counted = ", ".join(f"{human_count(amount, 'B')} {how}" for amount, how in amounts)
        width = max(map(len, self.tags))
        lines = [f"Copied {self.source} to {self.target} ({counted}):"]
        lines += [f"  {tag:{width}}  {digest}" for tag, digest in self.tags.items()]
        lines.append(f"{human_count(self.attachments, 'attached manifests')} copied")
        if self.withdrawn is not None:
            lines.append(f"WITHDRAWN: {self.withdrawn}")
        return "\n".join(lines)
