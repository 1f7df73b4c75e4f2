"""The plug point of verification: a check looks at an examined package and yields its findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Package

if TYPE_CHECKING:
    from starfreight.data_manifest import DataManifest
    from starfreight.packager.provenance.policy import Policy
    from starfreight.packager.provenance.recorded import Provenance
    from starfreight.packager.provenance.signing.verified import SignatureReport

Level = Literal["passed", "noted", "refused"]
"""``noted``: the reader should know, but it is no reason to refuse."""


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        level: its weight. One ``refused`` refuses the package.
        what: one sentence, with its full stop.
        where: file, digest, key path or reference.
        fix: next step of the reader, for ``refused``.
        data: the result for ``--json``.
    """

    level: Level
    what: str
    where: str | None = None
    fix: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Examined:
    """A package whose files have the right digests, with its parts read.

    Attributes:
        folder: its directory.
        package: its record.
        layout: its files.
        where: the package as the user named it.
        provenance: its statement; ``None`` for the made-up first golden package.
        data: its data manifest; ``None`` if it does not have one.
        signatures: the result of checking its signatures.
        policy: the user's policy, if any.
        unlisted: attachments of the record that the registry does not list beside their subject.
        left_out: attachments in the registry that are not in the form of a package's evidence.
    """

    folder: Path
    package: Package
    layout: ImageLayout
    where: str
    provenance: Provenance | None
    data: DataManifest | None
    signatures: SignatureReport
    policy: Policy | None = None
    unlisted: tuple[Attachment, ...] = ()
    left_out: int = 0


class Check(Protocol):
    """A check of a package."""

    @property
    def name(self) -> str:
        """Heading of its findings, such as ``signatures``."""
        ...

    def findings(self, examined: Examined) -> Iterable[Finding]:
        """Look at a package. Every package gets at least one finding.

        Raises:
            GateError: a part of the package cannot be read; the caller makes it a refusal.
        """
        ...
