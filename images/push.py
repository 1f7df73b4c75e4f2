"""Pushes an image and its software bill of materials to a registry.

pushed = push_image(image, "ghcr.io/acme/trainer:1.0", console)
pushed.digest  # of the manifest; a run's provenance refers to it

The engine pushes the layers. Everything else goes to the registry directly, so that the recorded digest is
one that the registry has confirmed.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starfreight.console import Console, human_count
from starfreight.docker_engine import connect, engine_errors
from starfreight.errors import ServiceError
from starfreight.files import sha256_bytes
from starfreight.image import BuiltImage, remember_image
from starfreight.images.sbom import MEDIA_TYPE, make_sbom
from starfreight.package import Attachment, Descriptor
from starfreight.registry import TagReference, is_local, parse_tag_reference
from starfreight.registry.manifests import EMPTY_CONFIG, build_attachment, descriptor_for
from starfreight.registry.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    import docker

    from starfreight.registry.publishing import PublishingClient

_PATIENCE = 900
"""Seconds without news from the engine: a registry hashes layers of gigabytes before it answers."""

_ANY_MANIFEST = ", ".join((DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_INDEX, OCI_INDEX))

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_REASONS = (
    (
        r"server gave HTTP response to HTTPS client",
        "The Docker Engine does not use plain http for this registry",
        'add it to "insecure-registries" in the engine\'s /etc/docker/daemon.json, and restart the engine',
    ),
    (
        r"x509:|certificate",
        "The Docker Engine does not trust the registry's certificate",
        "copy your CA's certificate to /etc/docker/certs.d/HOST/ca.crt on the engine's machine",
    ),
    (
        r"unauthorized|denied|authentication required|no basic auth|insufficient_scope|forbidden",
        "This account may not push to the registry",
        "set STARFREIGHT_REGISTRY_USERNAME and STARFREIGHT_REGISTRY_PASSWORD (STARFREIGHT_REGISTRY_HOST, if "
        "set, must name this registry), or run docker login, for an account that may push",
    ),
    (
        r"connection refused|no such host|i/o timeout|dial tcp|connection reset|unexpected EOF|: EOF",
        "The Docker Engine cannot reach the registry",
        "check that the registry runs and the engine's machine can reach it, then run the same command again",
    ),
    (
        r"HTTP status: 5\d\d",
        "The registry failed repeatedly",
        "check its log (its disk may be full), then run the same command again",
    ),
    (
        r"(?i)no space left on device",
        "No space is left in the registry or on the engine's disk",
        "free some space, then run the same command again; finished layers are not sent again",
    ),
)
"""A pattern in the engine's message about a failed push, its meaning, and a fix."""


def push_image(image: BuiltImage, reference: str, console: Console, *, insecure: bool = False) -> BuiltImage:
    """Pushes an image, attaches its SBOM, and records its reference.

    Args:
        image: an image in the engine.
        reference: ``HOST/NAMESPACE/NAME:TAG``. The engine's image gets this name, too.
        console: shows progress.
        insecure: use plain http. Unless the registry is on the engine's own machine, the engine has to be
            configured for it as well.

    Returns:
        The image with its manifest's digest.

    Raises:
        InputError: the reference is invalid, or the engine no longer has the image.
        ServiceError: the engine or the registry is unreachable, refuses, or is full; or the password would
            be readable on its way to the engine.
    """
    # oras and requests take a third of a second to import.
    from starfreight.registry.publishing import PublishingClient

    target = parse_tag_reference(reference)
    engine = connect(_PATIENCE)
    client = PublishingClient(target, insecure=insecure)
    if insecure and client.has_credentials and not is_local(target.host):
        console.note(f"Warning: the password is sent to {target.host} over plain http, readable by others.")
    if client.has_credentials:
        _check_engine(engine)
    client.connect()
    sbom = make_sbom(engine, image)
    # A registry without write access refuses these before gigabytes are sent.
    _upload(client, {MEDIA_TYPE: sbom, OCI_EMPTY: EMPTY_CONFIG})
    with engine_errors():
        engine.api.tag(image.id, f"{target.host}/{target.repository}", target.tag)
        digest = _push(engine, target, client, console)
    manifest = _read_back(client, target, digest, image)
    _attach(client, manifest, sbom)
    pushed = image.model_copy(update={"pushed": f"{target.host}/{target.repository}@{digest}"})
    remember_image(pushed)
    return pushed


def _check_engine(engine: docker.DockerClient) -> None:
    """The engine gets the registry's password: not over plain http from another machine."""
    address = urlsplit(engine.api.base_url)
    if address.scheme == "http" and not is_local(address.hostname or ""):
        raise ServiceError(
            "The Docker Engine is on another machine and used over plain http, so that others could read the "
            "registry's password.",
            where=f"DOCKER_HOST, {address.netloc}",
            fix="use ssh:// in DOCKER_HOST, or TLS (DOCKER_TLS_VERIFY and DOCKER_CERT_PATH)",
        )


def _push(
    engine: docker.DockerClient, target: TagReference, client: PublishingClient, console: Console
) -> str:
    """Pushes through the engine and returns the digest of the manifest that it reports."""
    events = engine.api.push(
        f"{target.host}/{target.repository}", target.tag, stream=True, decode=True,
        # Otherwise the SDK looks for credentials itself, in other places.
        auth_config=_account(client.credentials),
    )  # fmt: skip
    with console.progress("Pushing", total=None, unit="B") as advance:
        digest = None
        for amount, layers, told in _follow(events, target, client.secrets):
            advance(amount, f"Pushing ({layers})")
            digest = told or digest
    if digest is None:
        raise ServiceError(
            "The Docker Engine did not report the digest of the pushed image.",
            where=str(target),
            fix="run the same command again",
        )
    return digest


def _account(login: tuple[str, str] | None) -> dict[str, str]:
    """Credentials in the engine's form; empty for none."""
    username, password = login or ("", "")
    if username == "<token>":
        return {"identitytoken": password}
    return {"username": username, "password": password}


def _follow(
    events: Iterable[Any], target: TagReference, secrets: tuple[str, ...]
) -> Iterator[tuple[float, str, str | None]]:
    """Turns the engine's events into: bytes since the last one, a count of layers, the digest if known."""
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
        text = f"{len(done)} of {human_count(len(layers), 'layers')}"
        yield moved, text, told if _DIGEST.fullmatch(told) else None


def _refused(said: str, target: TagReference, secrets: tuple[str, ...]) -> ServiceError:
    from starfreight.registry.failures import clean

    text, where = clean(said, secrets), f"{target}, during the engine's push"
    for pattern, what, fix in _REASONS:
        if re.search(pattern, said):
            return ServiceError(f"{what}: {text}.", where=where, fix=fix)
    return ServiceError(
        f"The registry or the engine refused the image: {text}.",
        where=where,
        fix="see the registry's log for more",
    )


def _read_back(client: PublishingClient, target: TagReference, digest: str, image: BuiltImage) -> Descriptor:
    """The manifest at the tag. It must be the one that the engine reported, and of this image."""
    data = client.get_manifest(target.tag, _ANY_MANIFEST)
    if data is not None and sha256_bytes(data) == digest:
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
            manifest = strict_loads(data)
            # With the containerd image store, an image's id is its manifest's digest.
            if image.id in (digest, manifest.get("config", {}).get("digest")):
                return Descriptor(media_type=manifest["mediaType"], digest=digest, size=len(data))
    raise ServiceError(
        "The registry returns another image than the pushed one.",
        where=str(target),
        fix="check that nothing else pushes to this tag or builds this image, then run the command again",
    )


def _upload(client: PublishingClient, blobs: dict[str, bytes]) -> None:
    """Uploads small blobs, given by media type."""
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
    """Blobs in memory, with the interface of a layout for uploads."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs

    def open(self, descriptor: Descriptor) -> contextlib.closing[IO[bytes]]:
        return contextlib.closing(io.BytesIO(self._blobs[descriptor.digest]))

    def where(self, descriptor: Descriptor) -> str:
        return "memory"
