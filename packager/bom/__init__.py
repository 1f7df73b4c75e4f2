"""The software bill of materials of a package: CycloneDX 1.7 with a model card, as JSON.

    data = make_bom(read_facts(layout, package))

It is a function of the package's record, its provenance statement and its evaluations, so ``package verify``
makes it again and compares every byte. Contents: ``docs/bom.md``.
"""

from starfreight.packager.bom.check import bom_problem
from starfreight.packager.bom.facts import BomFacts, read_facts
from starfreight.packager.bom.forms import make_bom

__all__ = ["BomFacts", "bom_problem", "make_bom", "read_facts"]
