"""Duty: the tuned model is under the base model's license."""

from __future__ import annotations

from starfreight.licenses import Duty, License
from starfreight.licenses.expression import includes
from starfreight.packager.provenance.duties.interface import Material, Outcome


class SameLicense:
    """The license of the tuned model is the base model's, among others perhaps."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        if not material.chosen or includes(material.license, name):
            return Outcome("met", "the license of the tuned model is this one")
        if any(includes(material.license, each) for each in license.ids):
            return Outcome("judge", f"{material.license} is of the same family: see if it is compatible")
        return Outcome("unmet", f"the license of the tuned model is {material.license}")
