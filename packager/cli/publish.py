"""``starfreight publish``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.console import Console
from starfreight.options import with_console
from starfreight.packager.cli.signer_options import format_options, signer_options

if TYPE_CHECKING:
    from starfreight.packager.provenance.signing.choose_signer import SignerChoice
    from starfreight.packager.registry.earlier_tags import Prune

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FORMATS = ("ollama", "modelpack", "docker")


def _formats(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for each in value for name in each.split(",")]
    for name in names:
        if name not in _FORMATS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(_FORMATS)}.")
    return tuple(dict.fromkeys(names))


def _repositories(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    for each in value:
        if not re.fullmatch(r"[a-z0-9]+((\.|_|__|-+|/)[a-z0-9]+)*", each):
            raise click.BadParameter(
                f"{each!r} is not a repository: write NAMESPACE/NAME, without host and tag."
            )
    return value


@click.command("publish")
@click.argument("package", type=_FOLDER)
@click.argument("reference")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME",
    callback=_formats,
    help="Manifests to publish: ollama, modelpack, docker (repeatable, or separated by commas). "
    "[default: ollama,modelpack]",
)
@click.option(
    "--mount-from",
    multiple=True,
    metavar="NAMESPACE/NAME",
    callback=_repositories,
    help="Repository of the same registry to take files from instead of sending them (repeatable).",
)
@click.option(
    "--prune-tags",
    type=click.Choice(["remove", "move"]),
    is_flag=False,
    flag_value="remove",
    help="Remove the tags of an earlier release of this version that this one does not set, or move them to "
    "this release's default variant. [default: name them]",
)
@click.option(
    "--default",
    metavar="TYPE",
    default=None,
    help="Quantization at the plain TAG. [default: the package's]",
)
@click.option("--force", is_flag=True, help="Publish a withdrawn package, with its withdrawal.")
@click.option("--sign", is_flag=True, help="Sign the package first, with the options below.")
@signer_options
@format_options
@with_console
def publish(
    package: Path,
    reference: str,
    insecure: bool,
    formats: tuple[str, ...],
    mount_from: tuple[str, ...],
    prune_tags: Prune | None,
    default: str | None,
    force: bool,
    sign: bool,
    signer: SignerChoice,
    legacy: bool,
    model_signing: bool,
    console: Console,
) -> None:
    """Push a PACKAGE to a registry as HOST/NAMESPACE/NAME:TAG.

    Each quantization gets its own tag (TAG-q4_K_M), and the default one the plain TAG, too: these are for
    Ollama. The same tags with the suffix -oci name ModelPack manifests of the same files, for Docker Model
    Runner, RamaLama, podman and Kubernetes; those with -docker Docker's own format, for llama.cpp -dr.

    Ollama pulls HOST/NAMESPACE/NAME:TAG only. At deeper paths (Artifact Registry, ECR, GitLab, Artifactory),
    ModelPack alone is published by default.

    A package with quality rules (package.quality in the recipe) is refused with exit code 3 if one is missed
    or was not measured; so is one that does not meet a duty of its licenses, which package verify lists.

    --sign signs the package once its rules are met, like starfreight package sign.

    Afterwards the registry is read as clients do, and the command that pulls the model is printed.

    Credentials come from STARFREIGHT_REGISTRY_USERNAME and STARFREIGHT_REGISTRY_PASSWORD, or from
    docker login or podman login. They go to the registry published to, or to STARFREIGHT_REGISTRY_HOST
    alone if it is set.

    \b
        starfreight publish packages/acme-coder ghcr.io/acme/coder:1.0
        starfreight publish packages/acme-coder zot.example.org/acme/coder:1.0 --format modelpack
        starfreight publish packages/acme-coder ghcr.io/acme/coder:1.0 --prune-tags
        starfreight publish packages/acme-coder ghcr.io/acme/coder:1.0 --sign --key acme.key
    """
    from starfreight.packager.cli.signer_options import open_chosen, package_signing
    from starfreight.packager.registry.push import publish as push
    from starfreight.quantization import Quantization

    if sign != bool(signer) or ((legacy or model_signing) and not sign):
        raise click.UsageError("--sign and a signer belong together: --sign --key KEY, or --sign --keyless.")
    # Before anything else: a wrong password is found at once.
    chosen = open_chosen(signer) if sign else None
    published = push(
        package,
        reference,
        insecure=insecure,
        console=console,
        formats=formats or None,
        mount_from=mount_from,
        prune_tags=prune_tags,
        default=Quantization.parse(default) if default else None,
        sign=package_signing(package, chosen, console, legacy, model_signing) if chosen else None,
        force=force,
    )
    console.result(published.as_dict(), published.as_text())
