"""The license gate: a package carries the text of every license it is under, or it is not made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starfreight.packager.layout.write_package import LicenseText
from starfreight import recipe
from starfreight.checkpoint import checkpoint_files
from starfreight.errors import GateError
from starfreight.files import read_limited
from starfreight.license_files import MAX_LICENSE_BYTES


def license_texts(
    package: recipe.Package, base_license: str, base: Path, added: Sequence[bytes]
) -> tuple[LicenseText, ...]:
    """The texts of the licenses that the tuned model is under.

    Args:
        package: the recipe's, which may name a license and files of its own.
        base_license: the base model's license.
        base: the base model's folder, whose LICENSE files are taken.
        added: the texts that the recipe adds (see :mod:`starfreight.license_files`).

    Raises:
        GateError: there is no text at all.
        InputError: a file of the base model cannot be read.
    """
    name = package.license or base_license
    texts = [
        LicenseText(base_license, read_limited(path, MAX_LICENSE_BYTES, "license"))
        for path in checkpoint_files(base)
        if path.name.upper().startswith("LICENSE")
    ]
    texts += [LicenseText(name, text) for text in added]
    if not texts:
        raise GateError(
            f"The text of the license {name} is not there, and a model under it must not be shipped without.",
            where=f"{base} has no LICENSE file, and package.license_files is empty",
            fix="save the license's text beside the recipe and name it in package.license_files",
        )
    return tuple(texts)
