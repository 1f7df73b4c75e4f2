"""``starfreight package sign``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.command("sign")
@click.argument("package", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Private key, from starfreight package keygen or of a certificate.",
)
@click.option(
    "--certificate",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate of the key by a private CA, in PEM. gh needs one.",
)
@click.option(
    "--timestamps", metavar="URL", help="RFC 3161 timestamp authority; required with --certificate."
)
@with_console
def sign_command(
    package: Path, key: Path, certificate: Path | None, timestamps: str | None, console: Console
) -> None:
    """Sign the provenance of a PACKAGE.

    The signed statement names every GGUF file and every manifest of the package. It is a Sigstore bundle,
    attached to each manifest; publishing sends it along. The password of the key is asked for, or taken from
    the variable STARFREIGHT_KEY_PASSWORD.

    \b
        starfreight package sign packages/NAME --key acme.key
        starfreight package sign packages/NAME --key ci.key --certificate ci.pem \\
            --timestamps https://tsa.example.org/
    """
    from starfreight.packager.cli.keygen import ask_password
    from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
    from starfreight.packager.provenance.signing.interface import Signer
    from starfreight.packager.provenance.signing.local_key import LocalKey, is_encrypted
    from starfreight.packager.provenance.signing.sign_package import sign_package
    from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority

    if (certificate is None) != (timestamps is None):
        raise click.UsageError("--certificate and --timestamps belong together.")
    loaded = LocalKey.load(key, ask_password(f"Password of {key}") if is_encrypted(key) else None)
    signer: Signer = loaded
    if certificate is not None and timestamps is not None:
        authority = TimestampAuthority(timestamps)
        signer = CertificateSigner(loaded, read_certificate(certificate), authority, str(certificate))
    signed, added = sign_package(package, signer, console)
    manifests = sum(len(variant.manifests) for variant in signed.variants)
    console.result(
        {"package": str(package), "manifests": manifests, "added": added},
        f"Signed {manifests} manifests of {package}." if added else f"{package} has this signature already.",
    )
