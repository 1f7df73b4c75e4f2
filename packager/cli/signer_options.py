"""The options that choose a signer, shared by all commands that sign."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starfreight.console import Console

if TYPE_CHECKING:
    from starfreight.packager.provenance.signing.choose_signer import SignerChoice
    from starfreight.packager.provenance.signing.interface import Signer

_FILE = click.Path(path_type=Path, dir_okay=False)


def signer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--key``, ``--certificate``, ``--timestamps``, ``--keyless`` and ``--trust-config``.

    They are passed as one :class:`SignerChoice` named ``signer``, false if none is given.
    """

    @click.option(
        "--key",
        metavar="KEY",
        help="Private key: a file, or pkcs11:URI, awskms://..., gcpkms://..., azurekms://... or "
        "hashivault://...",
    )
    @click.option(
        "--certificate",
        metavar="FILE",
        type=_FILE,
        help="Certificate of the key by a private CA, in PEM. gh needs one.",
    )
    @click.option(
        "--timestamps", metavar="URL", help="RFC 3161 timestamp authority; required with --certificate."
    )
    @click.option(
        "--keyless",
        is_flag=True,
        help="Sign through Sigstore as this workflow of GitHub Actions, or as you, in a browser.",
    )
    @click.option(
        "--trust-config",
        metavar="FILE",
        type=_FILE,
        help="Services of a private Sigstore, for --keyless.",
    )
    @functools.wraps(command)
    def wrapped(
        *arguments: Any,
        key: str | None,
        certificate: Path | None,
        timestamps: str | None,
        keyless: bool,
        trust_config: Path | None,
        **options: Any,
    ) -> Any:
        from starfreight.packager.provenance.signing.choose_signer import SignerChoice

        choice = SignerChoice(key, certificate, timestamps, keyless, trust_config)
        if (problem := choice.problem()) is not None:
            raise click.UsageError(problem)
        return command(*arguments, signer=choice, **options)

    return wrapped


def open_chosen(choice: SignerChoice) -> Signer:
    """Opens the chosen signer. A password is taken from the environment, or asked for.

    Raises:
        InputError: the key, the certificate or the identity cannot be used, or a library is missing.
        ServiceError: a token or a service does not answer.
    """
    from starfreight.packager.cli.keygen import ask_password
    from starfreight.packager.provenance.signing.choose_signer import open_signer

    return open_signer(choice, lambda prompt: ask_password(prompt).decode())


def package_signing(
    folder: Path, signer: Signer, console: Console, legacy: bool, model_signing: bool
) -> Callable[[str], object]:
    """Signs a package before it is published; the argument is its repository, ``HOST/PATH``."""
    from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package
    from starfreight.packager.registry.push import HASHED_WHILE_SENT

    def sign(repository: str) -> None:
        more = MoreSignatures(legacy, model_signing, repository)
        _, added = sign_package(folder, signer, console, more=more, hash_up_to=HASHED_WHILE_SENT)
        if added:
            console.note(f"Signed as {signer.name}.")

    return sign


def format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--legacy`` and ``--model-signing``."""
    legacy = click.option(
        "--legacy",
        is_flag=True,
        help="Add cosign's legacy signatures, at tags such as sha256-....sig; with a key alone.",
    )
    model_signing = click.option(
        "--model-signing",
        is_flag=True,
        help="Add an OpenSSF model signature, which package export writes as model.sig.",
    )
    return legacy(model_signing(command))
