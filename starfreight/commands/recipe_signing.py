"""Signing by a recipe's ``publish.sign``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console

if TYPE_CHECKING:
    from starfreight.packager.provenance.signing.interface import Signer
    from starfreight.recipe.models import Sign

_ADDRESS = re.compile(r"[a-z][a-z0-9]*:")


def recipe_signer(sign: Sign, folder: Path) -> Signer:
    """Opens a recipe's signer. A password is taken from the environment, or asked for.

    Args:
        sign: the recipe's choice.
        folder: the recipe's directory, where its relative paths start.

    Raises:
        InputError: the key, the certificate or the identity cannot be used, or a library is missing.
        ServiceError: a token or a service does not answer.
    """
    from starfreight.packager.cli.signer_options import open_chosen
    from starfreight.packager.provenance.signing.choose_signer import SignerChoice

    key = sign.key
    if key is not None and not _ADDRESS.match(key):
        key = str(folder / Path(key).expanduser())
    return open_chosen(
        SignerChoice(
            key,
            folder / sign.certificate if sign.certificate else None,
            sign.timestamps,
            sign.keyless,
            folder / sign.trust_config if sign.trust_config else None,
        )
    )


def recipe_signing(sign: Sign, signer: Signer, package: Path, console: Console) -> Callable[[str], object]:
    """Signs a package before it is published; the argument is its repository."""
    from starfreight.packager.cli.signer_options import package_signing

    return package_signing(package, signer, console, sign.legacy, sign.model_signing)
