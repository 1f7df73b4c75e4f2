"""Duties that no program can check."""

from __future__ import annotations

from starfreight.licenses import Duty, License
from starfreight.packager.provenance.duties.interface import FOR_THE_PUBLISHER, Material, Outcome


class Judgement:
    """Left to the publisher."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        return Outcome("judge", FOR_THE_PUBLISHER)
