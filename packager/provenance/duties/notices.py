"""Duty: the base model's notices come with the tuned model."""

from __future__ import annotations

from starfreight.licenses import Duty, License
from starfreight.packager.provenance.duties.interface import Material, Outcome


class Notices:
    """Every license and notice of the base model is in the package, byte for byte."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        missing = [file for file, digest in material.base_notices.items() if digest not in material.digests]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            why = f"the base model's {missing[0]}{more} is not in the package"
            convert = f"make {missing[0]} a UTF-8 text in the base model's directory, before training"
            return Outcome("unmet", why, convert if material.planned else None)
        if material.planned and not material.base_here:
            return Outcome("later", "the notices are taken from the base model, which is not here yet")
        if not material.base_notices:
            return Outcome("met", "the base model has no files with notices")
        return Outcome("met", ", ".join(list(material.base_notices)[:5]) + " ships in every manifest")
