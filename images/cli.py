"""``starfreight images``: the container images that jobs run in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console
from starfreight.images.catalogue import NAMES
from starfreight.options import with_console


@click.group()
def images() -> None:
    """Build the container images that jobs run in, and push them to a registry."""


@images.command("build")
@click.argument("name", type=click.Choice(NAMES))
@click.option("--tag", metavar="NAME:TAG", default=None, help="[default: starfreight/NAME:VERSION]")
@click.option(
    "--base-image", metavar="REF", default=None,
    help="Start from this image instead of Debian 12, which the Dockerfile names by its digest.",
)  # fmt: skip
@click.option("--platform", metavar="OS/ARCH", default=None, help="[default: the engine's own]")
@click.option(
    "--torch", type=click.Choice(["cuda", "cpu"]), default=None,
    help="The trainer's build of torch: cuda runs on CPUs too and is some gigabytes larger.  [default: cuda]",
)  # fmt: skip
@click.option(
    "--wheelhouse", type=click.Path(path_type=Path, file_okay=False), default=None,
    help="Install from this folder of wheels, and from no index.",
)  # fmt: skip
@click.option(
    "--ca", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="Certificates (PEM) to trust while building; they are not in the image.",
)  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Do every step again.")
@click.option("--push", metavar="REF", default=None, help="Then push it, as images push does.")
@click.option("--insecure", is_flag=True, help="Push by plain http, to a registry on this machine.")
@with_console
def build(name: str, push: str | None, insecure: bool, console: Console, **asked: Any) -> None:
    """Build the image NAME from this Starfreight, as it is installed or checked out.

    \b
      trainer    trains: torch and all that training needs, for NVIDIA GPUs and for CPUs
      packager   presses, packs, verifies and publishes; without torch

    It needs a Docker Engine with BuildKit. Jobs that run in containers take the image that was built
    last. The first build downloads what the image is made of; later ones take seconds.

    \b
        starfreight images build trainer
        starfreight images build trainer --torch cpu --base-image debian:bookworm-slim
        starfreight images build trainer --push ghcr.io/acme/trainer:1.0

    Behind a proxy that has a certificate of its own: --ca FILE. Without a network: --wheelhouse DIR with
    what the lock files name (see docs/images.md), and a base image that has Debian's packages already.
    """
    from starfreight.images.build import BuildRequest, build_image

    if push is not None:
        from starfreight.registry import parse_tag_reference

        # Not after half an hour of building.
        parse_tag_reference(push)
    built = build_image(BuildRequest(name=name, **asked), console)
    lines = [f"Built {built.reference} ({built.platform}, {built.id})."]
    if push is not None:
        from starfreight.images.push import push_image

        built = push_image(built, push, insecure=insecure, console=console)
        lines.append(f"Pushed {built.pushed}")
    console.result(built.model_dump(exclude={"version"}), "\n".join(lines))


@images.command("push")
@click.argument("name", type=click.Choice(NAMES))
@click.argument("reference", metavar="HOST/PATH:TAG")
@click.option("--insecure", is_flag=True, help="Plain http, for a registry on this machine.")
@with_console
def push(name: str, reference: str, insecure: bool, console: Console) -> None:
    """Push the image NAME that was built last, with a bill of what is in it (SBOM).

    Jobs find its digest from then on. Credentials are those of STARFREIGHT_REGISTRY_USERNAME and
    STARFREIGHT_REGISTRY_PASSWORD, or of docker login.

    \b
        starfreight images push trainer ghcr.io/acme/trainer:1.0
    """
    from starfreight.images.list_images import last_built
    from starfreight.images.push import push_image

    pushed = push_image(last_built(name), reference, insecure=insecure, console=console)
    console.result(pushed.model_dump(exclude={"version"}), f"Pushed {pushed.pushed}")


@images.command("list")
@with_console
def list_all(console: Console) -> None:
    """Show the images that were built on this machine, and whether the engine still has them."""
    from starfreight.docker_engine import connect
    from starfreight.errors import ServiceError
    from starfreight.images.list_images import list_images

    try:
        engine = connect()
    except ServiceError as error:
        console.note(f"{error.what} What it still has is not known.")
        engine = None
    listed = list_images(engine)
    data = {"engine": engine is not None, "images": [each.as_dict() for each in listed]}
    lines = [each.as_text() for each in listed]
    console.result(
        data, "\n".join(lines) or "No image was built here. Next: starfreight images build trainer"
    )


@images.command("sbom")
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="Write it to this file.",
)  # fmt: skip
@with_console
def sbom(name: str, output: Path | None, console: Console) -> None:
    """Print the bill of what is in the image NAME: its Python and Debian packages, as CycloneDX JSON."""
    from starfreight.docker_engine import connect
    from starfreight.files import sha256_bytes, write_bytes
    from starfreight.images.list_images import last_built
    from starfreight.images.sbom import make_sbom

    bill = make_sbom(connect(), last_built(name))
    if output is None:
        click.echo(bill, nl=False)
    else:
        write_bytes(output, bill)
        console.result({"sbom": str(output), "digest": sha256_bytes(bill)}, f"The bill lies in {output}.")
