"""``starfreight package copy``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.command("copy")
@click.argument("source")
@click.argument("target")
@click.option(
    "--only-this-tag", is_flag=True, help="Leave out the tags of the release's other variants and formats."
)
@click.option("--insecure", is_flag=True, help="Use plain HTTP for both registries.")
@click.option("--insecure-source", is_flag=True, help="Use plain HTTP to read.")
@click.option("--insecure-target", is_flag=True, help="Use plain HTTP to write.")
@with_console
def copy_command(
    source: str,
    target: str,
    only_this_tag: bool,
    insecure: bool,
    insecure_source: bool,
    insecure_target: bool,
    console: Console,
) -> None:
    """Copy a release from SOURCE to TARGET, both HOST/NAMESPACE/NAME:TAG.

    Copies the tag and those of its variants and formats (TAG-q8_0, TAG-oci ...), their files, and the
    evidence attached to them. Files that the target has are not sent again; within one registry they are
    mounted. A withdrawn release is copied with its withdrawal and a warning. SOURCE may also be
    HOST/NAMESPACE/NAME@sha256:..., for one manifest.

    STARFREIGHT_REGISTRY_USERNAME and STARFREIGHT_REGISTRY_PASSWORD are for the target, unless
    STARFREIGHT_REGISTRY_HOST names the source. For both, run docker login.

    \b
        starfreight package copy registry.test/acme/coder:1.0 ghcr.io/acme/coder:1.0
    """
    from starfreight.packager.registry.copy_release import copy_release

    copied = copy_release(
        source,
        target,
        one_tag=only_this_tag,
        insecure_source=insecure or insecure_source,
        insecure_target=insecure or insecure_target,
        console=console,
    )
    console.result(copied.as_dict(), copied.as_text())
