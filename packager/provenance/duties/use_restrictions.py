"""Duty: the license of the tuned model has the use restrictions of the base model's."""

from __future__ import annotations

from starfreight.licenses import Duty, License, find_license, is_known
from starfreight.licenses.expression import evaluate, includes
from starfreight.licenses.registry import contains_all
from starfreight.packager.provenance.duties.interface import Material, Outcome


class UseRestrictions:
    """The tuned model has the same license, among others perhaps, or one whose text has the restrictions."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        if not material.chosen or includes(material.license, name):
            return Outcome("met", "the license of the tuned model is this one")
        own = [
            each
            for each in material.licenses
            if not includes(each.name, name) and contains_all(each.text, license.restrictions)
        ]
        if own:
            return Outcome("met", f"the text of {own[0].name} has the restrictions")
        if evaluate(material.license, _may_have_them, any, all):
            return Outcome(
                "judge",
                f"{material.license} has to have similar restrictions, in its own words",
            )
        return Outcome("unmet", f"the license of the tuned model, {material.license}, does not have them")


def _may_have_them(name: str) -> bool:
    """True for a custom license, and for one that restricts the use."""
    custom = not is_known(name) and name.casefold().startswith("licenseref-")
    return custom or find_license(name).restricts_use
