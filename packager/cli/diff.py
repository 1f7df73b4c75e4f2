"""``starfreight package diff``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.command("diff")
@click.argument("before", metavar="PACKAGE|REF")
@click.argument("after", metavar="PACKAGE|REF")
@click.option(
    "--names",
    type=click.IntRange(0, 100_000),
    default=5,
    show_default=True,
    help="Names to show of each kind of change in a source of the data.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 3 if there is a difference.")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for registries on this machine.")
@with_console
def diff_command(
    before: str, after: str, names: int, exit_code: bool, insecure: bool, console: Console
) -> int:
    """Show the differences between two packages or releases.

    Compares data (files by source, licenses, languages), recipe, base, training, figures (with a paired test
    where both packages hold the values of the items), texts and licenses, files, tools and signers. Models
    are not downloaded. Nothing is verified: see package verify.

    \b
        starfreight package diff packages/NAME ghcr.io/acme/coder:1.0
        starfreight package diff ghcr.io/acme/coder:1.0 ghcr.io/acme/coder:1.1 --json
    """
    from starfreight.packager.provenance.diff.compare_packages import compare_packages
    from starfreight.packager.registry.open_package import open_package

    with (
        open_package(before, console, insecure=insecure) as one,
        open_package(after, console, insecure=insecure) as two,
    ):
        found = compare_packages(one, two, console, names=names)
    console.result(found.as_dict(), found.as_text())
    return 3 if exit_code and found.sections else 0
