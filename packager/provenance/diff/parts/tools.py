"""Versions of the libraries and programs in the statement."""

from __future__ import annotations

from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.values import values_section


class ToolsPart:
    """Versions of libraries, of Starfreight and of its builder."""

    name = "tools"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        return values_section(_versions(before), _versions(after))


def _versions(side: Side) -> dict[str, object]:
    recorded = side.provenance
    if recorded is None:
        return {}
    return {
        **{f"training {name}": version for name, version in sorted(recorded.versions.items())},
        **{f"packaging {name}": version for name, version in sorted(recorded.packaging_versions.items())},
        "build type": recorded.build_type,
        "builder": recorded.builder,
        **{f"builder {name}": version for name, version in sorted(recorded.builder_version.items())},
    }
