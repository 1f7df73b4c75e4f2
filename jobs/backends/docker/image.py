"""Finds the image of a job's container, and checks it before anything is started."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight import __version__
from starfreight.docker_engine import engine_errors
from starfreight.errors import InputError
from starfreight.image import find_image
from starfreight.jobs.backends.image_kinds import check_image_labels
from starfreight.jobs.kinds.interface import JobKind

if TYPE_CHECKING:
    import docker

ENTRYPOINT = ["/usr/bin/tini", "--"]
"""Passes signals on, so that a request to stop reaches the job."""

_NO_REFERENCE = 400
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True)
class JobImage:
    """An image that has been checked.

    Attributes:
        reference: its name to the user.
        id: its name to the engine.
        digest: of its manifest if it is in a registry, otherwise the id.
        version: of Starfreight in it, if a label names it.
    """

    reference: str
    id: str
    digest: str
    version: str | None

    @property
    def other_version(self) -> str | None:
        """The version in it, if it differs from this program's."""
        return self.version if self.version not in (None, __version__) else None


def find_job_image(engine: docker.DockerClient, kind: JobKind, wanted: str | None) -> JobImage:
    """The requested image, or the one built last.

    Args:
        engine: the Docker Engine.
        kind: of the job.
        wanted: its reference or id; ``None`` for the image built last.

    Raises:
        InputError: the image is missing, or the job cannot run in it.
        ServiceError: the engine does not answer.
    """
    name = kind.image
    build = _build_command(name)
    built = None if wanted else find_image(name)
    if wanted is None and built is None:
        raise InputError(
            f"No {name} image has been built on this machine.",
            where="key run.image, option --image",
            fix=f"{build}, or name one: --image REFERENCE",
        )
    names = [built.id, built.reference] if built else [str(wanted)]
    attributes = _inspect(engine, names)
    reference = built.reference if built else str(wanted)
    if attributes is None:
        raise InputError(
            f"The Docker Engine has no image {reference!r}.",
            where="key run.image, option --image",
            fix=f"docker pull {reference}, or build one: {build}" if wanted else build,
        )
    with engine_errors():
        machine = str(engine.info().get("Architecture", ""))
    check_image(attributes, kind, reference, _MACHINES.get(machine, machine))
    pushed = built.digest if built and built.id == attributes["Id"] else None
    labels = attributes["Config"]["Labels"]
    return JobImage(
        reference,
        attributes["Id"],
        pushed or _digest(attributes, reference),
        labels.get("org.opencontainers.image.version"),
    )


def _build_command(name: str) -> str:
    return f"starfreight images build {name}"


def check_image(attributes: Mapping[str, Any], kind: JobKind, reference: str, machine: str) -> None:
    """Checks that a job can run in an image.

    Args:
        attributes: the engine's description of it.
        kind: of the job.
        reference: of the image, for messages.
        machine: the engine's own architecture, as images name it.

    Raises:
        InputError: it is another image, lacks the kind of job or the entry point, or is of another
            architecture or protocol.
    """
    config = attributes.get("Config") or {}
    labels = config.get("Labels") or {}
    build = _build_command(kind.image)
    other = f"name another image, or build one: {build}"
    check_image_labels(labels, kind, reference)
    if attributes.get("Architecture") not in (machine, None, ""):
        raise InputError(
            f"The image is for {attributes['Architecture']}, and this machine is {machine}.",
            where=reference,
            fix=f"{build} --platform linux/{machine}",
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
    """The manifest's digest, from the reference or the engine; without one, the image's id."""
    if "@sha256:" in reference:
        return reference.rpartition("@")[2]
    known = [str(each) for each in attributes.get("RepoDigests") or []]
    name = reference.rpartition(":")[0] if ":" in reference.rpartition("/")[2] else reference
    best = sorted(known, key=lambda each: (each.partition("@")[0] != name, each))
    return best[0].rpartition("@")[2] if best else str(attributes["Id"])
