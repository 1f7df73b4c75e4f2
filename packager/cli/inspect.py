"""``starfreight package inspect``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.options import with_console
from starfreight.packager.cli.trust_options import TrustChoice, trust_options


@click.command("inspect")
@click.argument("package", metavar="DIR|REF")
@trust_options
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def inspect_command(
    package: str,
    trusted: TrustChoice,
    insecure: bool,
    console: Console,
) -> None:
    """Show a package: model, licenses, files, template, training data, provenance, signers, figures.

    The package is a directory or a release in a registry, whose models are not downloaded. A withdrawn
    release is marked as such in the first line. Nothing is verified: these are the package's own claims (see
    package verify). With --key or --identity, the signatures are checked.

    \b
        starfreight package inspect packages/acme-coder
        starfreight package inspect ghcr.io/acme/coder:1.0 --key acme.pub
        starfreight package inspect ghcr.io/acme/coder:1.0 --json
    """
    from starfreight.packager.inspection.inspect_package import inspect_package

    trust = trusted.load() if trusted else None
    shown = inspect_package(package, console, trust=trust, insecure=insecure)
    console.result(shown.data, shown.text)
