"""``starfreight package inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("inspect")
@click.argument("package", metavar="DIR|REF")
@click.option(
    "--key", "keys", metavar="FILE", type=_FILE, multiple=True,
    help="Public key of a signer to check (repeatable).",
)  # fmt: skip
@click.option("--identity", metavar="NAME", help="Identity in a signer's certificate, as for package verify.")
@click.option("--issuer", metavar="URL", help="Issuer of that identity.")
@click.option(
    "--trusted-root", "trusted_roots", metavar="FILE", type=_FILE, multiple=True,
    help="Root of a private CA (repeatable).",
)  # fmt: skip
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def inspect_command(
    package: str,
    keys: tuple[Path, ...],
    identity: str | None,
    issuer: str | None,
    trusted_roots: tuple[Path, ...],
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

    trust = None
    if keys or identity is not None or issuer is not None or trusted_roots:
        from starfreight.packager.provenance.trust import load_trust

        trust = load_trust(keys=keys, identity=identity, issuer=issuer, trusted_roots=trusted_roots)
    shown = inspect_package(package, console, trust=trust, insecure=insecure)
    console.result(shown.data, shown.text)
