"""License duties that the packages have, and their state."""

from __future__ import annotations

from starfreight.errors import GateError
from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.values import values_section
from starfreight.packager.provenance.duties import package_duties


class DutiesPart:
    """Duties of the licenses of base and data."""

    name = "duties"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        return values_section(_duties(before), _duties(after))


def _duties(side: Side) -> dict[str, str]:
    """State of each duty; none for a package whose statement cannot be read."""
    if side.provenance is None:
        return {}
    try:
        report = package_duties(side.opened.folder, side.package)
    except GateError:
        return {}
    return {
        f"{each.license} {each.paragraph or f'of {each.of}'}: {each.what}": str(each.as_dict()["state"])
        for each in report.results
    }
