"""The plug point of ``package inspect``: a section shows one part of a package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package

if TYPE_CHECKING:
    from starfreight.packager.provenance.recorded import Provenance
    from starfreight.packager.provenance.signing.verified import SignatureReport


@dataclass(frozen=True)
class Inspected:
    """A package whose parts were read, but not verified.

    Attributes:
        folder: its directory. From a registry, models are empty files there.
        package: its record.
        layout: its files.
        where: the package as the user named it.
        provenance: its statement; ``None`` if it has none, or a damaged one.
        signatures: its signatures, checked only if the user named a signer; ``None`` if they are damaged.
    """

    folder: Path
    package: Package
    layout: ImageLayout
    where: str
    provenance: Provenance | None
    signatures: SignatureReport | None


@dataclass(frozen=True)
class Shown:
    """A part of a package, for people and for ``--json``.

    Attributes:
        title: heading; empty for lines of the head.
        lines: without indentation. No lines, no heading.
        data: by key of ``--json``.
    """

    title: str
    lines: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


class Section(Protocol):
    """Shows one part of a package."""

    def __call__(self, inspected: Inspected) -> Shown:
        """Read the part.

        Raises:
            GateError: it is missing or damaged; the caller shows the error in its place.
        """
        ...
