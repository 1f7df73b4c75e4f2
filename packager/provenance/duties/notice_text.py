"""Duties: a given sentence is in every copy of the model, or is displayed with it."""

from __future__ import annotations

from starfreight.licenses import Duty, License
from starfreight.licenses.registry import contains_all
from starfreight.packager.provenance.duties.interface import Material, Outcome

_LONGEST_NOTICE = 4000
"""Characters. A longer license text is the license itself, which only quotes the sentence."""


class NoticeText:
    """A document or a short license text has the sentence: these ship in every manifest."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        texts = [*material.documents.values()]
        texts += [each.text for each in material.licenses if len(each.text) <= _LONGEST_NOTICE]
        if any(contains_all(text, (duty.value or "",)) for text in texts):
            return Outcome("met", "the sentence ships in every manifest")
        if material.planned:
            return Outcome("later", "the package gets a notice with it")
        return Outcome("unmet", f'"{duty.value}" is in no notice of the package')


class DisplayText:
    """The model card has the sentence."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        # The card escapes Markdown's signs with backslashes.
        card = (material.card or "").replace("\\", "")
        if any(contains_all(text, (duty.value or "",)) for text in (card, material.description)):
            return Outcome("met", "the sentence is in the model card")
        if material.card is None:
            return Outcome("later", "the model card is to have it")
        return Outcome("unmet", f'"{duty.value}" is not in the model card')
