"""Licenses as data: their texts, what they allow, and the duties of whoever shares a model under them.

    from starfreight.licenses import find_license, license_text
    find_license("bigcode-openrail-m").duties
    license_text("LicenseRef-BigCode-OpenRAIL-M")

A new license is a YAML file in ``known/``. The files state facts about licenses; they are not legal advice.
"""

from starfreight.licenses.license import CheckName, Duty, License, TrainingUse
from starfreight.licenses.registry import (
    all_licenses,
    canonical_name,
    find_license,
    is_known,
    is_same,
    license_text,
)

__all__ = [
    "CheckName", "Duty", "License", "TrainingUse", "all_licenses", "canonical_name", "find_license",
    "is_known", "is_same", "license_text",
]  # fmt: skip
