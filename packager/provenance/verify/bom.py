"""The check of a package's bill of materials."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.console import human_count
from starfreight.packager.bom.check import MAX_BOM_BYTES, bom_attachment_problems, bom_problem
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.strict_json import strict_loads

_FIX = "do not use the package; get it again from its source"


class BomCheck:
    """Comparison of the bill of materials with the package's other files."""

    name = "bill of materials"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """Make the document again and compare it byte for byte."""
        package, layout = examined.package, examined.layout
        if package.bom is None:
            yield Finding(
                "noted", "The package has no bill of materials: an earlier version of Starfreight built it."
            )
            return
        where = layout.where(package.bom)
        for what in bom_attachment_problems(package):
            yield Finding("refused", f"{what[0].upper()}{what[1:]}.", where=where, fix=_FIX)
        if (problem := bom_problem(layout, package)) is not None:
            yield Finding("refused", f"The bill of materials {problem}.", where=where, fix=_FIX)
            return
        count = len(strict_loads(layout.read(package.bom, MAX_BOM_BYTES))["components"])
        yield Finding(
            "passed",
            f"The bill of materials (CycloneDX 1.7, {human_count(count, 'components')}) follows from the "
            "package's files.",
            where=where,
            data={"digest": package.bom.digest, "components": count},
        )
