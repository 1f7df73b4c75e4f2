"""``starfreight package list``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.command("list")
@click.argument("repository", metavar="HOST/NAMESPACE/NAME")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def list_command(repository: str, insecure: bool, console: Console) -> None:
    """List the tags of a repository, with the kind of client that reads each.

    Tags share files: the column SHARED has the bytes of a tag that other tags use, too.

    \b
        starfreight package list ghcr.io/acme/coder
    """
    from starfreight.packager.registry.list_tags import list_tags

    found = list_tags(repository, insecure=insecure, console=console)
    console.result(found.as_dict(), found.as_text())
