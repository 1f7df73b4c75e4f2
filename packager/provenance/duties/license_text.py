"""Duty: recipients get the license's text."""

from __future__ import annotations

from starfreight.files import sha256_bytes
from starfreight.licenses import Duty, License, license_text
from starfreight.licenses.expression import license_names
from starfreight.licenses.registry import has_phrases, is_same
from starfreight.packager.provenance.duties.interface import Material, Outcome


class LicenseText:
    """A license text of the package has the license's name, or is recognised as it.

    A license with use restrictions has to be recognised: a wrong text would not bind anybody to them.
    """

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        recognised = [each for each in material.licenses if has_phrases(license, each.text)]
        if recognised:
            ours = license_text(name)
            if ours is not None and any(each.digest == sha256_bytes(ours) for each in recognised):
                return Outcome("met", "the text that comes with Starfreight ships in every manifest")
            return Outcome("met", "the text ships in every manifest")
        named = [each for each in material.licenses if _names(each.name, name) and each.text.strip()]
        if named and not (license.restricts_use and license.phrases):
            return Outcome("met", "a text of this name ships in every manifest")
        if material.planned and not material.base_here:
            return Outcome("later", "the base model may have a LICENSE file, and is not here yet")
        if named:
            return Outcome("unmet", f"the text called {name} is not that of the license")
        return Outcome("unmet", "no text of this license is in the package")


def _names(stated: str, name: str) -> bool:
    return any(is_same(each, name) for each in license_names(stated))
