"""Duty: the changes are documented."""

from __future__ import annotations

from starfreight.licenses import Duty, License
from starfreight.licenses.registry import plain_words
from starfreight.packager.provenance.duties.interface import Material, Outcome


class Modifications:
    """The model card names the base model, and the statement records the training."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        if material.card is None:
            return Outcome("later", "the model card and the provenance statement describe the training")
        # The card escapes Markdown's signs with backslashes.
        if plain_words(material.base) in plain_words(material.card.replace("\\", "")):
            return Outcome("met", "the model card and the provenance statement describe the training")
        return Outcome("unmet", f"the model card does not name the base model, {material.base}")
