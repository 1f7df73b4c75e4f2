"""Manifests as a registry holds them, of any kind: models, images, indexes, attached evidence.

A registry's answers are not trusted: digests are compared, sizes and numbers of entries limited.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from starfreight.errors import GateError
from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry.manifests import MAX_ENTRIES
from starfreight.registry.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
_INDEXES = (OCI_INDEX, DOCKER_INDEX)
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_MODELPACK = "application/vnd.cncf.model.manifest.v1+json"
_DOCKER_MODEL = "application/vnd.docker.ai.model.config."
_MODELPACK_CONFIG = "application/vnd.cncf.model.config."
_IMAGE_CONFIGS = (
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
)


@dataclass(frozen=True)
class RemoteManifest:
    """A manifest or an index."""

    descriptor: Descriptor
    data: bytes
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    """Manifests of an index."""
    subject: Descriptor | None
    artifact_type: str

    @property
    def digest(self) -> str:
        """Digest of the manifest."""
        return self.descriptor.digest

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers, each digest once."""
        named = [*([self.config] if self.config else []), *self.layers]
        return tuple({each.digest: each for each in named}.values())

    @property
    def format(self) -> str:
        """``ollama``, ``modelpack``, ``docker``, ``image``, ``index`` or ``artifact``."""
        config = self.config.media_type if self.config else ""
        if self.descriptor.media_type in _INDEXES:
            return "index"
        if any(layer.media_type == _OLLAMA_MODEL for layer in self.layers):
            return "ollama"
        if self.artifact_type == _MODELPACK or config.startswith(_MODELPACK_CONFIG):
            return "modelpack"
        if config.startswith(_DOCKER_MODEL):
            return "docker"
        return "image" if config in _IMAGE_CONFIGS else "artifact"


def read_remote(client: RegistryClient, reference: str, where: str) -> RemoteManifest | None:
    """Read a manifest by tag or digest; ``None`` if there is none.

    Raises:
        GateError: malformed, or not the manifest of that digest.
        ServiceError: as for the client.
    """
    data = client.get_manifest(reference, ACCEPT)
    if data is None:
        return None
    found = parse_remote(data, where)
    if ":" in reference and found.digest != reference:
        raise GateError(
            "The registry sent another manifest than the one with that digest.",
            where=where,
            fix="do not use it; ask the registry's administrator",
        )
    return found


def parse_remote(data: bytes, where: str) -> RemoteManifest:
    """Parse a manifest.

    Raises:
        GateError: malformed, or with too many entries.
    """
    try:
        document = strict_loads(data)
    except ValueError as error:
        raise _malformed(where, f"is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise _malformed(where, "is not a JSON object")
    is_index = "manifests" in document
    # OCI's first version made the media type optional; an index and a manifest differ in their lists.
    media_type = document.get("mediaType", OCI_INDEX if is_index else OCI_MANIFEST)
    if media_type not in (DOCKER_MANIFEST, DOCKER_INDEX, OCI_MANIFEST, OCI_INDEX) or is_index != (
        media_type in _INDEXES
    ):
        raise _malformed(where, f"has the media type {str(media_type)[:100]!r}")
    config = None if is_index else _descriptor(document.get("config"), where)
    artifact_type = document.get("artifactType") or (config.media_type if config else "")
    if not isinstance(artifact_type, str):
        raise _malformed(where, "has an artifactType that is not text")
    subject = document.get("subject")
    return RemoteManifest(
        descriptor=Descriptor(media_type=media_type, digest=sha256_bytes(data), size=len(data)),
        data=data,
        config=config,
        layers=tuple(_list(document, "layers", where)) if not is_index else (),
        children=tuple(_list(document, "manifests", where)) if is_index else (),
        subject=None if subject is None else _descriptor(subject, where),
        artifact_type=artifact_type,
    )


def attached(client: RegistryClient, digest: str, where: str) -> tuple[Descriptor, ...]:
    """Manifests that refer to a manifest, from the registry's own list and from the tag that replaces it.

    Raises:
        GateError: a list is malformed.
        ServiceError: as for the client.
    """
    found: dict[str, Descriptor] = {}
    for data in (*client.referrers(digest), client.get_manifest(fallback_tag(digest), OCI_INDEX)):
        # Proxies answer any address with a page of their own: that is no list.
        if data is None or not data.lstrip().startswith(b"{"):
            continue
        index = parse_remote(data, where)
        found |= {each.digest: each for each in index.children}
    return tuple(found.values())


def fallback_tag(digest: str) -> str:
    """Tag of the list of referrers in registries without such lists (OCI distribution 1.1)."""
    return digest.replace(":", "-")


def _list(document: dict[str, Any], key: str, where: str) -> Iterator[Descriptor]:
    values = document.get(key)
    if values is None and key == "manifests":
        values = []  # Registries in Go write an empty list so.
    if not isinstance(values, list) or len(values) > MAX_ENTRIES:
        raise _malformed(where, f"has no list of {key}, or one that is too long")
    return (_descriptor(each, where) for each in values)


def _descriptor(value: Any, where: str) -> Descriptor:
    try:
        return Descriptor(media_type=value["mediaType"], digest=value["digest"], size=value["size"])
    except (KeyError, TypeError, ValidationError):
        raise _malformed(where, "has a descriptor without a valid mediaType, digest and size") from None


def _malformed(where: str, what: str) -> GateError:
    return GateError(f"The manifest {what}.", where=where, fix="check the reference; push the artifact again")
