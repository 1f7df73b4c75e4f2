"""Compare two packages, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.table import PARTS
from starfreight.packager.provenance.recorded import read_provenance

if TYPE_CHECKING:
    from starfreight.packager.registry.open_package import Opened


@dataclass(frozen=True)
class PackageDifferences:
    """The differences of two packages.

    Attributes:
        before: the first one as the user named it.
        after: the second one.
        sections: parts with differences, by name.
    """

    before: str
    after: str
    sections: Mapping[str, Section]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "before": self.before,
            "after": self.after,
            "different": bool(self.sections),
            "sections": {name: dict(each.data) for name, each in self.sections.items()},
        }

    def as_text(self) -> str:
        """For people."""
        if not self.sections:
            return f"No difference between {self.before} and {self.after}."
        lines = [f"{self.before} -> {self.after}"]
        for name, section in self.sections.items():
            lines += ["", name.capitalize(), *(f"  {line}" for line in section.lines)]
        return "\n".join(lines)


def compare_packages(
    before: Opened, after: Opened, console: Console, *, names: int = 5
) -> PackageDifferences:
    """Compare two packages. Nothing is verified but the digests of the parts that are read.

    Args:
        before: the first one.
        after: the second one.
        console: receives a note for a statement that cannot be read.
        names: number of names to show of each kind of change in the data.

    Raises:
        GateError: a part of a package is damaged.
    """
    sides = [_side(each, console) for each in (before, after)]
    found = {part.name: part.compare(sides[0], sides[1], names) for part in PARTS}
    return PackageDifferences(
        before.where, after.where, {name: section for name, section in found.items() if section is not None}
    )


def _side(opened: Opened, console: Console) -> Side:
    try:
        provenance = read_provenance(opened.folder, opened.package)
    except GateError as error:
        console.note(f"{opened.where}: {error.what} Data, recipe and tools are compared by digest alone.")
        provenance = None
    return Side(opened, ImageLayout(opened.folder), provenance)
