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
    """Build and push the container images that jobs run in."""


@images.command("build")
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--tag",
    metavar="NAME:TAG",
    default=None,
    help="Name of the built image.  [default: starfreight/NAME:VERSION]",
)
@click.option(
    "--base-image", metavar="REF", default=None,
    help="Base image instead of Debian 12, which the Dockerfile pins by digest.",
)  # fmt: skip
@click.option(
    "--platform", metavar="OS/ARCH", default=None, help="Platform to build for.  [default: the engine's]"
)
@click.option(
    "--torch", type=click.Choice(["cuda", "cpu"]), default=None,
    help="Build of torch in the trainer: cuda also runs on CPUs and adds some gigabytes.  [default: cuda]",
)  # fmt: skip
@click.option(
    "--wheelhouse", type=click.Path(path_type=Path, file_okay=False), default=None,
    help="Install from this directory of wheels instead of an index.",
)  # fmt: skip
@click.option(
    "--ca", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="Certificates (PEM) to trust during the build; the image does not contain them.",
)  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Run every step again.")
@click.option(
    "--push", metavar="REF", default=None, help="Then push the image to this reference, like images push."
)
@click.option("--insecure", is_flag=True, help="Push over plain http, e.g. to a registry on this machine.")
@with_console
def build(name: str, push: str | None, insecure: bool, console: Console, **asked: Any) -> None:
    """Build the image NAME from the running Starfreight.

    \b
      trainer    torch and everything else for training, on NVIDIA GPUs and on CPUs
      packager   builds, verifies and publishes packages; without torch
      gateway    nginx and the token service, for ollama pull from a private registry

    The image contains this checkout or installation. Building needs a Docker Engine with BuildKit. Jobs in
    containers use the latest image. The first build downloads all packages; later builds take seconds.

    \b
        starfreight images build trainer
        starfreight images build trainer --torch cpu --base-image debian:bookworm-slim
        starfreight images build trainer --push ghcr.io/acme/trainer:1.0

    Behind a proxy with its own certificate: --ca FILE. Without a network: --wheelhouse DIR with the
    wheels from the lock files (see `starfreight docs images`), and a base image that has the Debian packages.
    """
    from starfreight.images.build import BuildRequest, build_image

    if push is not None:
        from starfreight.registry import parse_tag_reference

        # Fail now, not after half an hour of building.
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
@click.option("--insecure", is_flag=True, help="Use plain http, e.g. for a registry on this machine.")
@with_console
def push(name: str, reference: str, insecure: bool, console: Console) -> None:
    """Push the latest image NAME to a registry.

    Attaches the image's software bill of materials (SBOM). Later jobs refer to the image by its digest.
    Credentials come from STARFREIGHT_REGISTRY_USERNAME and STARFREIGHT_REGISTRY_PASSWORD, or from docker
    login or podman login. They go to the registry pushed to, or to STARFREIGHT_REGISTRY_HOST alone if it
    is set.

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
    """List the images built on this machine.

    Shows their ids, sizes and registry references, and whether the engine still has them.

    \b
        starfreight images list
        starfreight images list --json | jq
    """
    from starfreight.docker_engine import connect
    from starfreight.errors import ServiceError
    from starfreight.images.list_images import list_images

    try:
        engine = connect()
    except ServiceError as error:
        console.note(f"{error.what} The state of the images is unknown.")
        engine = None
    listed = list_images(engine)
    data = {"engine": engine is not None, "images": [each.as_dict() for each in listed]}
    lines = [each.as_text() for each in listed]
    console.result(
        data, "\n".join(lines) or "No image was built on this machine. Next: starfreight images build trainer"
    )


@images.command("sbom")
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="File to write.  [default: standard output]",
)  # fmt: skip
@with_console
def sbom(name: str, output: Path | None, console: Console) -> None:
    """Print the software bill of materials of the image NAME.

    It lists the Python and Debian packages as CycloneDX JSON.

    \b
        starfreight images sbom trainer --output trainer.cdx.json
    """
    from starfreight.docker_engine import connect
    from starfreight.files import sha256_bytes, write_bytes
    from starfreight.images.list_images import last_built
    from starfreight.images.sbom import make_sbom

    bill = make_sbom(connect(), last_built(name))
    if output is None:
        click.echo(bill, nl=False)
    else:
        write_bytes(output, bill)
        console.result(
            {"sbom": str(output), "digest": sha256_bytes(bill)},
            f"Software bill of materials written to {output}.",
        )
