"""``starfreight package pull``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("pull")
@click.argument("reference", metavar="REF")
@click.argument("directory", type=_FOLDER)
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@click.option("--force", is_flag=True, help="Pull a withdrawn release all the same.")
@with_console
def pull_command(reference: str, directory: Path, insecure: bool, force: bool, console: Console) -> None:
    """Pull the whole package at REF into DIRECTORY: all variants, attached evidence and its record.

    REF is any tag or digest of a package published by Starfreight. The result is the published package,
    verified, ready for `package verify`, `package serve`, or `publish` to another registry. Evidence attached
    in the registry since then is added. The same command continues an interrupted pull. A release that was
    withdrawn (`package withdraw`) is refused with exit code 3.

    \b
        starfreight package pull ghcr.io/acme/coder:1.0 packages/coder
    """
    from starfreight.packager.registry.pull_package import pull_package

    pulled = pull_package(reference, directory, insecure=insecure, console=console, force=force)
    variants = ", ".join(str(variant.quantization) for variant in pulled.package.variants)
    console.result(
        pulled.as_dict(),
        f"Pulled {pulled.package.name} ({variants}) to {directory}: "
        f"{human_count(pulled.report.files, 'files')}, "
        f"{human_count(pulled.report.bytes, 'B')}, all digests match.",
    )
