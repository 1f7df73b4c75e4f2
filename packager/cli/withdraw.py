"""``starfreight package withdraw``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console
from starfreight.packager.cli.signer_options import open_chosen, signer_options

if TYPE_CHECKING:
    from starfreight.packager.provenance.signing.choose_signer import SignerChoice


@click.command("withdraw")
@click.argument("package", metavar="DIR|REF")
@click.option("--reason", metavar="TEXT", required=True, help="Reason, for people; part of the statement.")
@click.option("--superseded-by", metavar="REF", help="Release to use instead.")
@signer_options
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def withdraw_command(
    package: str,
    reason: str,
    superseded_by: str | None,
    signer: SignerChoice,
    insecure: bool,
    console: Console,
) -> None:
    """Mark a release as withdrawn, by a signed statement on each of its manifests.

    verify, install, pull and publish then refuse it, with the reason and the signer; install, pull and
    publish take --force. With a registry reference the statement is pushed there, and models are not
    downloaded. Other tags of the same manifests are withdrawn, too; copies elsewhere and installed models
    are not reached.

    A withdrawal cannot be undone: publish the model again as another release. A withdrawal counts whoever
    signed it, so that everyone who can push to a repository can stop its releases.

    \b
        starfreight package withdraw ghcr.io/acme/coder:1.0 --key acme.key \\
            --reason "Trained on files of an opt-out" --superseded-by ghcr.io/acme/coder:1.1
        starfreight package withdraw packages/NAME --keyless --reason "Leaks test data, see SEC-12"
    """
    from datetime import UTC, datetime

    from starfreight.packager.provenance.withdrawal.withdraw import withdraw
    from starfreight.packager.registry.open_package import open_package
    from starfreight.packager.registry.read_model import parse_any_reference

    if not signer:
        raise click.UsageError("A withdrawal is signed: add --key KEY or --keyless.")
    if superseded_by is not None:
        superseded_by = str(parse_any_reference(superseded_by))
    chosen = open_chosen(signer)
    with open_package(package, console, insecure=insecure) as opened:
        done = withdraw(opened, chosen, reason, superseded_by, datetime.now(UTC), console, insecure=insecure)
    where = "in the registry" if done.pushed is not None else "here; publish --force sends it to a registry"
    text = (
        f"Withdrew {package}: the statement is attached to {human_count(done.manifests, 'manifests')}, "
        f"{where}."
        if done.added or done.pushed
        else f"{package} has this withdrawal already."
    )
    console.result(done.as_dict(), text)
