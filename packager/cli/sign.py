"""``starfreight package sign``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console
from starfreight.packager.cli.signer_options import format_options, signer_options

if TYPE_CHECKING:
    from starfreight.packager.provenance.signing.choose_signer import SignerChoice


@click.command("sign")
@click.argument("package", metavar="PACKAGE|REF")
@signer_options
@format_options
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def sign_command(
    package: str,
    signer: SignerChoice,
    legacy: bool,
    model_signing: bool,
    insecure: bool,
    console: Console,
) -> None:
    """Sign the statements of a PACKAGE, or of a release in a registry.

    Signed are the provenance, the bill of materials, and the figures and verdicts of evaluations. Each
    statement names the manifests that it is about, and is attached to each of them as a Sigstore bundle, for
    cosign, gh and package verify. Publishing sends the bundles along; those of a REF are pushed at once, and
    its tags stay. Signing again adds signatures of later statements only.

    Passwords and PINs are asked for, or taken from the variable STARFREIGHT_KEY_PASSWORD.

    \b
        starfreight package sign packages/NAME --key acme.key
        starfreight package sign packages/NAME --key ci.key --certificate ci.pem \\
            --timestamps https://tsa.example.org/
        starfreight package sign packages/NAME --key "pkcs11:token=release;id=%02"
        starfreight package sign ghcr.io/acme/coder:1.0 --keyless
    """
    from starfreight.packager.cli.signer_options import open_chosen
    from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package
    from starfreight.packager.registry.open_package import open_package
    from starfreight.packager.registry.publish_evidence import publish_evidence

    if not signer:
        raise click.UsageError("Choose a signer: --key KEY, or --keyless.")
    with open_package(package, console, insecure=insecure) as opened:
        repository = f"{opened.reference.host}/{opened.reference.repository}" if opened.reference else ""
        more = MoreSignatures(legacy, model_signing, repository)
        chosen = open_chosen(signer)
        signed, added = sign_package(
            opened.folder, chosen, console, more=more, placeholders=opened.placeholders
        )
        if opened.reference is not None and added:
            publish_evidence(opened, console, insecure=insecure)
    manifests = sum(len(variant.manifests) for variant in signed.variants)
    console.result(
        {"package": package, "signer": chosen.name, "manifests": manifests, "added": added},
        f"Signed {human_count(manifests, 'manifests')} of {package} as {chosen.name}."
        if added
        else f"{package} has these signatures already.",
    )
