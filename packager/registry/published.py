"""The state of a registry after publishing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfreight.console import human_count
from starfreight.packager.evaluation.quality import Verdict
from starfreight.packager.registry.client_probe import Probe


@dataclass(frozen=True)
class PublishedTag:
    """A tag and its new manifest."""

    tag: str
    format: str
    """``ollama``, ``modelpack`` or ``docker``."""
    quantization: str
    digest: str


@dataclass(frozen=True)
class Published:
    """The state of a registry after publishing."""

    reference: str
    tags: tuple[PublishedTag, ...]
    attachments: int
    """Number of manifests that refer to other manifests."""
    bytes_sent: int
    bytes_present: int
    """Bytes that were in the registry already."""
    left_tags: tuple[str, ...] = ()
    """Tags of this version that an earlier release set and this one does not."""
    pruned_tags: tuple[str, ...] = ()
    """Those removed or moved on request."""
    probe: Probe | None = None
    """Result for Ollama; ``None`` if its format is not published at a path that it could pull."""
    quality: Verdict | None = None
    """Of the quality gate; ``None`` without one."""

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return {
            "reference": self.reference,
            "tags": {tag.tag: tag.digest for tag in self.tags},
            "attachments": self.attachments,
            "bytes_sent": self.bytes_sent,
            "bytes_present": self.bytes_present,
            "left_tags": list(self.left_tags),
            "pruned_tags": list(self.pruned_tags),
            "ollama": self.probe.as_dict() if self.probe else None,
            "quality": self.quality.as_dict() if self.quality else None,
        }

    def as_text(self) -> str:
        """The result for people: every tag with its manifest, and the command that pulls the model."""
        sent, present = human_count(self.bytes_sent, "B"), human_count(self.bytes_present, "B")
        width = max(len(tag.tag) for tag in self.tags)
        lines = [f"Published {self.reference} ({sent} sent, {present} already there):"]
        lines += [
            f"  {tag.tag:{width}}  {tag.quantization:6}  {tag.format:9}  {tag.digest}" for tag in self.tags
        ]
        if self.quality is not None:
            lines += [f"  quality  {line}" for line in self.quality.as_lines()]
        if self.left_tags:
            lines.append(
                f"Tags of an earlier release, not set by this one: {', '.join(self.left_tags)}. "
                "To remove them, add --prune-tags."
            )
        if self.pruned_tags:
            lines.append(f"Removed or moved from an earlier release: {', '.join(self.pruned_tags)}.")
        others = next((tag for tag in reversed(self.tags) if tag.format != "ollama"), None)
        if others is not None and (self.probe is None or not self.probe.pulls):
            repository = self.reference.rpartition(":")[0]
            lines.append(f"Clients of OCI registries pull {repository}:{others.tag}.")
        if self.probe is not None:
            lines.append(self.probe.as_text())
        return "\n".join(lines)
