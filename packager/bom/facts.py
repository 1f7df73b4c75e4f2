"""Everything that a bill of materials is made from."""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_evaluations import PackagedEvaluation, PackageEvaluations, read_evaluations
from starfreight.packager.provenance.recorded import Provenance, read_provenance


@dataclass(frozen=True)
class BomFacts:
    """The claims of a package.

    Attributes:
        package: its record; attachments and an earlier bill of materials have no effect.
        provenance: its statement.
        evaluations: those of the bill of materials. Its figures are the results that count.
    """

    package: Package
    provenance: Provenance
    evaluations: PackageEvaluations

    @property
    def counted(self) -> tuple[PackagedEvaluation, ...]:
        """The evaluations with a figure of the packaged model, each statement once, by digest."""
        found = {
            each.statement.digest: each
            for variant in self.package.variants
            for each, _ in self.evaluations.results(variant.quantization)
        }
        return tuple(found[digest] for digest in sorted(found))


def read_facts(
    layout: ImageLayout, package: Package, evaluations: PackageEvaluations | None = None
) -> BomFacts:
    """Read what the bill of materials of a package is made from.

    Args:
        layout: its files.
        package: its record, perhaps not written yet.
        evaluations: those to use; by default all of the package.

    Raises:
        GateError: the provenance statement is damaged, or not one of Starfreight's.
    """
    provenance = read_provenance(layout.folder, package)
    if evaluations is None:
        evaluations = read_evaluations(layout.folder, package)
    return BomFacts(package, provenance, evaluations)
