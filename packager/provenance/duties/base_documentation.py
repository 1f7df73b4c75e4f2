"""Duty: the base model's own card comes with the tuned model."""

from __future__ import annotations

from starfreight.base_documents import BASE_MODEL_CARD
from starfreight.licenses import Duty, License
from starfreight.packager.provenance.duties.interface import Material, Outcome


class BaseDocumentation:
    """The package has the base model's card."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        if material.documents.get(BASE_MODEL_CARD, "").strip():
            return Outcome("met", f"{BASE_MODEL_CARD} ships in every manifest")
        if material.planned and not material.base_here:
            return Outcome("later", "the card is taken from the base model, which is not here yet")
        return Outcome("unmet", "the base model's card is not in the package")
