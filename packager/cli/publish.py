"""``starfreight publish``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("publish")
@click.argument("package", type=_FOLDER)
@click.argument("reference")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def publish(package: Path, reference: str, insecure: bool, console: Console) -> None:
    """Push a PACKAGE to a registry as HOST/NAMESPACE/NAME:TAG.

    Each quantization gets its own tag (TAG-q4_K_M), and the default one the plain TAG, too. The same tags
    with the suffix -oci name ModelPack manifests of the same files.

    Credentials come from STARFREIGHT_REGISTRY_USERNAME and STARFREIGHT_REGISTRY_PASSWORD, or from
    docker login.

    \b
        starfreight publish packages/acme-coder ghcr.io/acme/coder:1.0
    """
    from starfreight.packager.registry import publish as push

    published = push(package, reference, insecure=insecure, console=console)
    console.result(published.as_dict(), published.as_text())
