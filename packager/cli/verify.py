"""``starfreight package verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.console import Console
from starfreight.options import with_console
from starfreight.packager.cli.trust_options import TrustChoice, trust_options

if TYPE_CHECKING:
    from starfreight.packager.provenance.policy import Policy
    from starfreight.packager.provenance.signing.interface import Signer

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("verify")
@click.argument("package", metavar="REF|DIR")
@trust_options
@click.option(
    "--policy",
    "policy_file",
    metavar="FILE",
    type=_FILE,
    help="Rules for packages: signers, bases, licenses, figures, builders, data.",
)
@click.option(
    "--vsa",
    metavar="FILE",
    type=_FILE,
    help="Write the verdict to FILE, as a signed verification summary; a refusal, too.",
)
@click.option("--vsa-key", metavar="KEY", help="Private key for --vsa, as for package sign --key.")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def verify_package(
    package: str,
    trusted: TrustChoice,
    policy_file: Path | None,
    vsa: Path | None,
    vsa_key: str | None,
    insecure: bool,
    console: Console,
) -> int:
    """Check everything in a package: a directory, or a release in a registry. No network is needed for DIR.

    Every digest; the manifests against package.json, byte for byte; the provenance statement against the
    files; the training data, licenses, evaluations and signatures. Prints one page: who signed, what is in
    the package, and the verdict. Without --key, --identity or --policy, signatures are only counted.

    A release is read once and not stored. Any tag or digest of it verifies all of it.

    Exits with 3 if anything is refused. A missed quality rule is shown; only publish and a policy refuse it.

    \b
        starfreight package verify packages/NAME
        starfreight package verify packages/NAME --key acme.pub
        starfreight package verify ghcr.io/acme/coder:1.0 \\
          --identity 'https://github.com/acme/*/.github/workflows/train.yml@refs/tags/*' \\
          --issuer https://token.actions.githubusercontent.com
        starfreight package verify /media/stick/NAME --policy policy.yaml --vsa verdict.json --vsa-key me.key
    """
    from datetime import UTC, datetime

    from starfreight.files import write_bytes
    from starfreight.packager.provenance.verify.verify_package import verify_package

    if (vsa is None) != (vsa_key is None):
        raise click.UsageError("--vsa and --vsa-key belong together.")
    policy = _policy(policy_file) if policy_file is not None else None
    trust = trusted.load() if trusted else None
    signer = _open(vsa_key) if vsa_key is not None else None
    verdict = verify_package(package, console, trust=trust, policy=policy, insecure=insecure)
    from starfreight.packager.provenance.verify.page import page

    console.result(verdict.as_dict(), page(verdict))
    if vsa is not None and signer is not None:
        from starfreight.packager.provenance.verify.vsa import signed_summary

        write_bytes(vsa, signed_summary(verdict, signer, datetime.now(UTC)))
        console.note(f"The signed verdict is in {vsa}.")
    return 3 if verdict.refused else 0


def _policy(path: Path) -> Policy:
    from starfreight.packager.provenance.policy import load_policy

    return load_policy(path)


def _open(key: str) -> Signer:
    """Before hours of hashing: a wrong password should not cost them."""
    from starfreight.packager.cli.signer_options import open_chosen
    from starfreight.packager.provenance.signing.choose_signer import SignerChoice

    return open_chosen(SignerChoice(key=key))
