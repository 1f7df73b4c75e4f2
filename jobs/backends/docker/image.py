"""The image that a job's container is made from: found, and looked at before anything is started."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight import __version__
from starfreight.docker_engine import engine_errors
from starfreight.errors import InputError
from starfreight.image import LABEL_IMAGE, LABEL_PROTOCOL, PROTOCOL, find_image

if TYPE_CHECKING:
    import docker

NAME = "trainer"
ENTRYPOINT = ["/usr/bin/tini", "--"]
"""It passes signals on, so that a request to stop reaches the job."""

_NO_REFERENCE = 400
_BUILD = f"starfreight images build {NAME}"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True)
class TrainerImage:
    """An image that has been looked at.

    Attributes:
        reference: what the user or the builder calls it.
        id: what the engine calls it.
        digest: of its manifest when it is in a registry, otherwise the id.
        version: of Starfreight in it, when it says so.
    """

    reference: str
    id: str
    digest: str
    version: str | None

    @property
    def other_version(self) -> str | None:
        """The version in it when it is not that of this program."""
        return self.version if self.version not in (None, __version__) else None


def find_trainer(engine: docker.DockerClient, asked: str | None) -> TrainerImage:
    """The image that was asked for, or the one that was built last.

    Args:
        engine: the Docker Engine.
        asked: a reference or an id.

    Raises:
        InputError: there is none, or jobs cannot run in it.
        ServiceError: the engine does not answer.
    """
    built = None if asked else find_image(NAME)
    if asked is None and built is None:
        raise InputError(
            "No trainer image has been built on this machine.",
            where="key run.image, option --image",
            fix=f"{_BUILD}, or name one: --image REFERENCE",
        )
    names = [built.id, built.reference] if built else [str(asked)]
    attributes = _inspect(engine, names)
    reference = built.reference if built else str(asked)
    if attributes is None:
        raise InputError(
            f"The Docker Engine has no image {reference!r}.",
            where="key run.image, option --image",
            fix=f"docker pull {reference}, or build one: {_BUILD}" if asked else _BUILD,
        )
    with engine_errors():
        machine = str(engine.info().get("Architecture", ""))
    check_image(attributes, reference, _MACHINES.get(machine, machine))
    pushed = built.digest if built and built.id == attributes["Id"] else None
    labels = attributes["Config"]["Labels"]
    return TrainerImage(
        reference,
        attributes["Id"],
        pushed or _digest(attributes, reference),
        labels.get("org.opencontainers.image.version"),
    )


def check_image(attributes: Mapping[str, Any], reference: str, machine: str) -> None:
    """Looks whether a job can run in an image.

    Args:
        attributes: what the engine says of it.
        reference: what it is called.
        machine: the engine's own architecture, as images name it.

    Raises:
        InputError: it is for another architecture, no trainer, of another protocol, or lacks the entry point.
    """
    config = attributes.get("Config") or {}
    labels = config.get("Labels") or {}
    other = f"name another image, or build one: {_BUILD}"
    if labels.get(LABEL_IMAGE) != NAME:
        raise InputError(
            f"The image is no trainer image of Starfreight: it has no label {LABEL_IMAGE}={NAME}.",
            where=reference,
            fix=other,
        )
    if labels.get(LABEL_PROTOCOL) != str(PROTOCOL):
        raise InputError(
            f"The image talks to jobs by protocol {labels.get(LABEL_PROTOCOL, 'none')}, "
            f"and this Starfreight by {PROTOCOL}.",
            where=reference,
            fix=f"{_BUILD}, or use the Starfreight that the image was built with",
        )
    if attributes.get("Architecture") not in (machine, None, ""):
        raise InputError(
            f"The image is for {attributes['Architecture']}, and this machine is {machine}.",
            where=reference,
            fix=f"{_BUILD} --platform linux/{machine}",
        )
    if config.get("Entrypoint") != ENTRYPOINT:
        raise InputError(
            f"The image lacks the entry point that passes a request to stop on: {' '.join(ENTRYPOINT)}.",
            where=reference,
            fix=other,
        )


def _inspect(engine: docker.DockerClient, names: list[str]) -> Mapping[str, Any] | None:
    import docker.errors

    for name in names:
        with contextlib.suppress(docker.errors.NotFound), engine_errors():
            try:
                attributes: Mapping[str, Any] = engine.images.get(name).attrs
            except docker.errors.APIError as error:
                if error.status_code == _NO_REFERENCE:
                    continue
                raise
            return attributes
    return None


def _digest(attributes: Mapping[str, Any], reference: str) -> str:
    """The manifest's digest as the reference or the engine has it, or else the image's id."""
    if "@sha256:" in reference:
        return reference.rpartition("@")[2]
    known = [str(each) for each in attributes.get("RepoDigests") or []]
    name = reference.rpartition(":")[0] if ":" in reference.rpartition("/")[2] else reference
    best = sorted(known, key=lambda each: (each.partition("@")[0] != name, each))
    return best[0].rpartition("@")[2] if best else str(attributes["Id"])
