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


def is_address(key: str) -> bool:
    """True for a key in a token or a service, rather than a file."""
    return _ADDRESS.match(key) is not None


def recipe_signer(sign: Sign, folder: Path, ask: Callable[[str], str] | None = None) -> Signer:
    """Opens a recipe's signer. A password is taken from the environment, or asked for.

    Args:
        sign: the recipe's choice.
        folder: the recipe's directory, where its relative paths start.
        ask: asks for a password instead; the argument names it.

    Raises:
        InputError: the key, the certificate or the identity cannot be used, or a library is missing.
        ServiceError: a token or a service does not answer.
    """
    from starfreight.packager.cli.signer_options import open_chosen
    from starfreight.packager.provenance.signing.choose_signer import SignerChoice, open_signer

    key = sign.key
    if key is not None and not is_address(key):
        key = str(folder / Path(key).expanduser())
    choice = SignerChoice(
        key,
        folder / sign.certificate if sign.certificate else None,
        sign.timestamps,
        sign.keyless,
        folder / sign.trust_config if sign.trust_config else None,
    )
    return open_chosen(choice) if ask is None else open_signer(choice, ask)


def recipe_signing(sign: Sign, signer: Signer, package: Path, console: Console) -> Callable[[str], object]:
    """Signs a package before it is published; the argument is its repository."""
    from starfreight.packager.cli.signer_options import package_signing

    return package_signing(package, signer, console, sign.legacy, sign.model_signing)
