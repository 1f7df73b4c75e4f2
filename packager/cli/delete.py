"""``starfreight package delete``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.command("delete")
@click.argument("reference", metavar="HOST/NAMESPACE/NAME:TAG")
@click.option("--release", is_flag=True, help="Also delete the tags of its variants and formats.")
@click.option("--same-manifest", is_flag=True, help="Also delete all other tags of the same manifest.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def delete_command(
    reference: str,
    release: bool,
    same_manifest: bool,
    dry_run: bool,
    yes: bool,
    insecure: bool,
    console: Console,
) -> None:
    """Delete a tag from a registry, with the evidence attached to its manifest.

    Shows first what is deleted and what is kept: other tags of the same manifest, other variants of the
    release, and files that other tags use. The registry frees space with its own garbage collection.

    \b
        starfreight package delete ghcr.io/acme/coder:0.9 --release
    """
    from starfreight.errors import InputError
    from starfreight.packager.registry.delete_tags import carry_out, plan_deletion

    client, plan = plan_deletion(
        reference, release=release, same_manifest=same_manifest, insecure=insecure, console=console
    )
    if dry_run:
        console.result(plan.as_dict(), plan.as_text())
        return
    if not yes:
        console.note(plan.as_text())
        try:
            agreed = click.confirm("Delete?", err=True)
        except click.Abort as abort:
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            click.echo(err=True)  # The end of the input: nobody answers.
            agreed = False
        if not agreed:
            raise InputError(
                "Nothing is deleted.", where=reference, fix="to delete without a question: --yes"
            )
    deleted = carry_out(client, plan, console)
    console.result(deleted.as_dict(), deleted.as_text())
