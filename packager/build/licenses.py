"""The licenses of a package, which every package must have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starfreight import recipe
from starfreight.license_files import require_license_texts
from starfreight.packager.model_description import LicenseText


def license_texts(
    package: recipe.PackageOptions, base_license: str, base: Path, added: Sequence[bytes]
) -> tuple[LicenseText, ...]:
    """The licenses of the tuned model, with their texts.

    Raises:
        GateError: no text at all.
        InputError: a file of the base model cannot be read.
    """
    found = require_license_texts(package, base_license, base, added)
    return tuple(LicenseText(name=name, text=text) for name, text in found)
