"""Duty: the model's name begins with a given word."""

from __future__ import annotations

import re

from starfreight.licenses import Duty, License
from starfreight.packager.provenance.duties.interface import Material, Outcome


class NamePrefix:
    """Name and title begin with the prefix, whatever its separators and capitals."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        wanted = _plain(duty.value or "")
        for given in (material.name, material.title):
            if not _plain(given).startswith(wanted):
                return Outcome("unmet", f"{given} does not begin with {duty.value}")
        return Outcome("met", f"the model's name begins with {duty.value}")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
