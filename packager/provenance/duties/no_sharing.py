"""Duty: a model made from this one is not shared."""

from __future__ import annotations

from starfreight.licenses import Duty, License
from starfreight.packager.provenance.duties.interface import Material, Outcome


class NoSharing:
    """Never met by a model that is shared."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        return Outcome("unmet", "a model made from this one may not be shared")
