"""An image into a registry, with its bill of materials beside it.

pushed = push_image(image, "ghcr.io/acme/trainer:1.0", console)
pushed.digest  # of its manifest: what a run is proved with

The engine pushes the layers; all else is asked of the registry directly, so that the digest that is
remembered is one that the registry has answered with.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from starfreight.console import Console
from starfreight.docker_engine import connect, engine_errors
from starfreight.errors import ServiceError
from starfreight.files import sha256_bytes
from starfreight.image import BuiltImage, remember_image
from starfreight.images.sbom import MEDIA_TYPE, make_sbom
from starfreight.package import Attachment, Descriptor
from starfreight.registry import TagReference, is_local, parse_tag_reference
from starfreight.registry.manifests import EMPTY_CONFIG, build_attachment, descriptor_for
from starfreight.registry.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    import docker

    from starfreight.registry.publishing import PublishingClient

_PATIENCE = 900
"""Seconds without a word of the engine: a registry hashes a layer of gigabytes before it answers."""

_ANY_MANIFEST = ", ".join((DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_INDEX, OCI_INDEX))

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_REASONS = (
    (
        r"server gave HTTP response to HTTPS client",
        "The Docker Engine does not speak plain http to this registry",
        'add it to "insecure-registries" in the engine\'s /etc/docker/daemon.json, and restart the engine',
    ),
    (
        r"x509:|certificate",
        "The Docker Engine does not trust the registry's certificate",
        "put your CA where the engine looks: /etc/docker/certs.d/HOST/ca.crt",
    ),
    (
        r"unauthorized|denied|authentication required|no basic auth|insufficient_scope|forbidden",
        "The registry does not let this account push",
        "set STARFREIGHT_REGISTRY_USERNAME and STARFREIGHT_REGISTRY_PASSWORD, or run docker login, with an "
        "account that may do it",
    ),
    (
        r"connection refused|no such host|i/o timeout|dial tcp|connection reset|unexpected EOF|: EOF",
        "The Docker Engine cannot reach the registry",
        "see that the registry runs and the engine's machine can reach it, then run the same command again",
    ),
    (
        r"HTTP status: 5\d\d",
        "The registry kept failing",
        "see its own log (its disk may be full), then run the same command again",
    ),
    (
        r"(?i)no space left on device",
        "There is no room left, in the registry or on the engine's disk",
        "free some space, then run the same command again; what arrived is not sent twice",
    ),
)
"""What the engine says of a push that failed, in whole or in part; what that means; what to do."""


def push_image(image: BuiltImage, reference: str, console: Console, *, insecure: bool = False) -> BuiltImage:
    """Pushes an image, attaches its SBOM, and remembers where it is now.

    Args:
        image: the engine has it.
        reference: ``HOST/NAMESPACE/NAME:TAG``. The image has this name in the engine, too, from then on.
        console: where progress goes.
        insecure: speak plain http. The engine must have been told so as well, unless the registry is on its
            own machine.

    Returns:
        The image with its manifest's digest.

    Raises:
        InputError: the reference is none, or the engine does not have the image any more.
        ServiceError: the engine or the registry cannot be reached, refuses, or has no room.
    """
    # oras and requests take a third of a second to import.
    from starfreight.registry.publishing import PublishingClient

    target = parse_tag_reference(reference)
    engine = connect(_PATIENCE)
    client = PublishingClient(target, insecure=insecure)
    if insecure and client.has_credentials and not is_local(target.host):
        console.note(
            f"Warning: the password goes to {target.host} over plain http, where others can read it."
        )
    client.connect()
    sbom = make_sbom(engine, image)
    # A registry that would not let us write says so before gigabytes are sent.
    _upload(client, {MEDIA_TYPE: sbom, OCI_EMPTY: EMPTY_CONFIG})
    with engine_errors():
        engine.api.tag(image.id, f"{target.host}/{target.repository}", target.tag)
        digest = _push(engine, target, client, console)
    manifest = _read_back(client, target, digest, image)
    _attach(client, manifest, sbom)
    pushed = image.model_copy(update={"pushed": f"{target.host}/{target.repository}@{digest}"})
    remember_image(pushed)
    return pushed


def _push(
    engine: docker.DockerClient, target: TagReference, client: PublishingClient, console: Console
) -> str:
    """Has the engine push; returns the manifest's digest as the engine tells it."""
    account = dict(zip(("username", "password"), client.credentials or (), strict=False))
    events = engine.api.push(
        f"{target.host}/{target.repository}", target.tag, stream=True, decode=True,
        # Without one, the SDK looks for credentials in places of its own.
        auth_config=account or {"username": "", "password": ""},
    )  # fmt: skip
    with console.progress("Pushing", total=None, unit="B") as advance:
        digest = None
        for amount, layers, told in _follow(events, target, client.secrets):
            advance(amount, f"Pushing ({layers})")
            digest = told or digest
    if digest is None:
        raise ServiceError(
            "The Docker Engine did not say what the registry has now.",
            where=str(target),
            fix="run the same command again",
        )
    return digest


def _follow(
    events: Iterable[Any], target: TagReference, secrets: tuple[str, ...]
) -> Iterator[tuple[float, str, str | None]]:
    """From the engine's events: bytes since the last one, layers in words, and at the end the digest."""
    layers: set[str] = set()
    done: set[str] = set()
    sent: dict[str, int] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        if (said := event.get("error")) is not None:
            raise _refused(str(said), target, secrets)
        layer, status = str(event.get("id", "")), str(event.get("status", ""))
        if status == "Preparing":
            layers.add(layer)
        elif status in ("Pushed", "Layer already exists") or status.startswith("Mounted from"):
            done.add(layer)
        current = (event.get("progressDetail") or {}).get("current")
        moved = 0
        if status == "Pushing" and isinstance(current, int):
            moved, sent[layer] = current - sent.get(layer, 0), current
        told = str((event.get("aux") or {}).get("Digest", ""))
        yield moved, f"{len(done)} of {len(layers)} layers", told if _DIGEST.fullmatch(told) else None


def _refused(said: str, target: TagReference, secrets: tuple[str, ...]) -> ServiceError:
    from starfreight.registry.failures import clean

    text, where = clean(said, secrets), f"{target}, while the engine pushes it"
    for pattern, what, fix in _REASONS:
        if re.search(pattern, said):
            return ServiceError(f"{what}: {text}.", where=where, fix=fix)
    return ServiceError(
        f"The registry, or the engine, refused the image: {text}.",
        where=where,
        fix="see the registry's own log for more",
    )


def _read_back(client: PublishingClient, target: TagReference, digest: str, image: BuiltImage) -> Descriptor:
    """What is at the tag now, which must be what the engine says it pushed, and this image."""
    data = client.get_manifest(target.tag, _ANY_MANIFEST)
    if data is not None and sha256_bytes(data) == digest:
        with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
            manifest = json.loads(data)
            # An engine that keeps images as registries do calls an image by its manifest's digest.
            if image.id in (digest, manifest.get("config", {}).get("digest")):
                return Descriptor(media_type=manifest["mediaType"], digest=digest, size=len(data))
    raise ServiceError(
        "The registry answers with another image than was pushed.",
        where=str(target),
        fix="check that nobody else pushes to this tag or builds this image, then run the same command again",
    )


def _upload(client: PublishingClient, blobs: dict[str, bytes]) -> None:
    """Sends small blobs, by their media types."""
    described = [(descriptor_for(media_type, data), data) for media_type, data in blobs.items()]
    source = _Blobs({descriptor.digest: data for descriptor, data in described})
    for descriptor, _ in described:
        client.upload(source, descriptor, lambda amount, what=None: None)


def _attach(client: PublishingClient, subject: Descriptor, sbom: bytes) -> None:
    from starfreight.registry.referrers import attach

    evidence = descriptor_for(MEDIA_TYPE, sbom)
    created = json.loads(sbom)["metadata"]["timestamp"]
    built = build_attachment(subject, evidence, MEDIA_TYPE, {"org.opencontainers.image.created": created})
    manifest = descriptor_for(built.media_type, built.manifest)
    attachment = Attachment(subject=subject.digest, artifact_type=MEDIA_TYPE, manifest=manifest)
    attach(client, attachment, built.manifest)


class _Blobs:
    """Blobs in memory, as uploads want them."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs

    def open(self, descriptor: Descriptor) -> contextlib.closing[IO[bytes]]:
        return contextlib.closing(io.BytesIO(self._blobs[descriptor.digest]))

    def where(self, descriptor: Descriptor) -> str:
        return "memory"
