"""Legacy signatures in a registry: a manifest at the tag ``sha256-<hex>.sig`` beside each signed manifest."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any

from starfreight.errors import ServiceError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.packager.provenance.signing.simple_signing import (
    SIGNATURE,
    SIMPLE_SIGNING,
    SimpleSignature,
    simple_signatures,
)
from starfreight.registry.manifests import descriptor_for, descriptor_json
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    from starfreight.registry.publishing import PublishingClient

CONFIG = "application/vnd.oci.image.config.v1+json"
_MOST_LAYERS = 100
_NEVER = "0001-01-01T00:00:00Z"


def push_simple_signatures(
    client: PublishingClient, package: Package, layout: ImageLayout, pushed: Collection[str]
) -> tuple[str, ...]:
    """Put the legacy signatures of manifests at their tags. Signatures of others there are kept.

    Args:
        client: the repository; it already holds the signed texts.
        package: the record.
        layout: the package's files.
        pushed: digests of the manifests that are in the registry.

    Returns:
        The tags.

    Raises:
        ServiceError: the registry refuses, or a tag holds something else.
    """
    signatures: dict[str, list[SimpleSignature]] = {}
    for each in simple_signatures(package, layout):
        if each.subject in pushed:
            signatures.setdefault(each.subject, []).append(each)
    tags = []
    for subject, ours in signatures.items():
        tag = f"{subject.replace(':', '-')}.sig"
        present = client.read_manifest(tag, OCI_MANIFEST)
        layers = _layers(present, tag) if present is not None else []
        layers += [each for each in map(_layer, ours) if each not in layers]
        config, manifest = simple_manifest(layers)
        if manifest != present:
            descriptor = descriptor_for(CONFIG, config)
            client.upload(_Bytes(config), descriptor, _no_report)
            client.put_manifest(tag, OCI_MANIFEST, manifest)
        tags.append(tag)
    return tuple(tags)


def simple_manifest(layers: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    """Config and manifest of signatures, as cosign writes them.

    Args:
        layers: descriptors of the signed texts, each with its signature among its annotations.
    """
    config = _json(
        {
            "architecture": "",
            "created": _NEVER,
            "history": [{"created": _NEVER} for _ in layers],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
            "config": {},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(descriptor_for(CONFIG, config)),
        "layers": layers,
    }
    return config, _json(manifest)


def _layer(signature: SimpleSignature) -> dict[str, Any]:
    return {**_descriptor(signature.payload), "annotations": {SIGNATURE: signature.signature}}


def _descriptor(descriptor: Descriptor) -> dict[str, Any]:
    found = descriptor_json(descriptor)
    return {"mediaType": found["mediaType"], "size": found["size"], "digest": found["digest"]}


def _layers(data: bytes, tag: str) -> list[dict[str, Any]]:
    """The signatures at a tag."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        layers = strict_loads(data)["layers"]
        if len(layers) <= _MOST_LAYERS and all(
            each["mediaType"] == SIMPLE_SIGNING and isinstance(each["digest"], str) for each in layers
        ):
            return list(layers)
    raise ServiceError(
        "The tag of the legacy signatures holds something else, or too many of them.",
        where=f"tag {tag}",
        fix="delete that tag in the registry, then run the same command again",
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class _Bytes:
    """A small blob to upload."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, descriptor: Descriptor) -> AbstractContextManager[IO[bytes]]:
        return contextlib.closing(io.BytesIO(self._data))

    def where(self, descriptor: Descriptor) -> str:
        return "config of the legacy signatures"


def _no_report(amount: float, what: str | None = None) -> None:
    """Too small to show."""
