"""The plug point of the comparison of two packages: each part compares one aspect of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from starfreight.image_layout.reader import ImageLayout
    from starfreight.package import Package
    from starfreight.packager.provenance.recorded import Provenance
    from starfreight.packager.registry.open_package import Opened


@dataclass(frozen=True)
class Side:
    """One of the two packages.

    Attributes:
        opened: its directory and its record.
        layout: its files; models may be placeholders.
        provenance: its statement; ``None`` if it cannot be read.
    """

    opened: Opened
    layout: ImageLayout
    provenance: Provenance | None

    @property
    def package(self) -> Package:
        """The record."""
        return self.opened.package


@dataclass(frozen=True)
class Section:
    """The differences in one aspect.

    Attributes:
        lines: for people.
        data: for ``--json``.
    """

    lines: tuple[str, ...]
    data: Mapping[str, Any]


class ComparedPart(Protocol):
    """One aspect of packages."""

    @property
    def name(self) -> str:
        """Heading of its differences, and their key in ``--json``."""
        ...

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """Compare two packages.

        Args:
            before: the first one.
            after: the second one.
            names: number of names to show of each kind of change.

        Returns:
            ``None`` if there is no difference.

        Raises:
            GateError: a part of a package is damaged.
        """
        ...
