"""A release in a live registry, and the requests that clients send for it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from starfreight.errors import GateError, StarfreightError
from starfreight.package import Descriptor
from starfreight.packager.doctor.interface import CannotPullError
from starfreight.packager.manifests.docker_model import GGUF as DOCKER_GGUF
from starfreight.packager.manifests.modelpack import FILE_PATH, TITLE, WEIGHT
from starfreight.packager.registry.remote_manifest import RemoteManifest, parse_remote
from starfreight.registry.client import RegistryClient
from starfreight.registry.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from starfreight.registry.reference import SUFFIXES, TagReference

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
CONTAINERS_IMAGE = ", ".join((OCI_MANIFEST, DOCKER_MANIFEST, SCHEMA_1, DOCKER_INDEX, OCI_INDEX))
"""``Accept`` of podman, CRI-O and skopeo (containers/image)."""
ORAS_GO = ", ".join((DOCKER_MANIFEST, DOCKER_INDEX, OCI_MANIFEST, OCI_INDEX))
"""``Accept`` of ORAS, modctl and KitOps (oras-go)."""
GO_CONTAINERREGISTRY = ",".join((DOCKER_MANIFEST, OCI_MANIFEST, OCI_INDEX, DOCKER_INDEX))
"""``Accept`` of Docker Model Runner."""

_GGUF = b"GGUF"
_LENGTH = re.compile(r"[0-9]{1,18}")
_WEIGHTS = (WEIGHT, DOCKER_GGUF)


@dataclass(frozen=True)
class LayerFile:
    """A layer and the names that clients know it by."""

    descriptor: Descriptor
    title: str | None
    file_path: str | None


@dataclass(frozen=True)
class Artifact:
    """A manifest as a client received it."""

    tag: str
    manifest: RemoteManifest
    files: tuple[LayerFile, ...]

    @property
    def model(self) -> LayerFile:
        """The model's layer: the largest of those whose type is one of weights, else of all."""
        weights = [file for file in self.files if file.descriptor.media_type in _WEIGHTS]
        return max(weights or self.files, key=lambda file: file.descriptor.size)


class LiveClient(RegistryClient):
    """Read access with a client's own headers."""

    def lets_in(self) -> bool:
        """True unless the registry refuses this machine; raises if there is none.

        Raises:
            ServiceError: no registry answers.
        """
        response = self._ask("connecting", self._provider.root, "GET")
        if response.status_code in (401, 403):
            return False
        if response.status_code != 200:
            self.connect()
        return True

    def may_have(self, tag: str, accept: str) -> bool:
        """False if there is no manifest at a tag; true also if the registry does not show it to this machine.

        A gateway or ``package serve`` with a list of keys lets everyone in, and refuses each manifest.
        """
        url = self._provider.url(f"manifests/{tag}")
        response = self._ask(f"looking for {tag}", url, "HEAD", headers={"Accept": accept})
        return response.status_code in (401, 403) or self.manifest_digest(tag, accept) is not None

    def manifest_for(self, tag: str, accept: str) -> bytes | None:
        """A manifest as a client with this ``Accept`` gets it; ``None`` for any other answer than 200."""
        url = self._provider.url(f"manifests/{tag}")
        response = self._ask(f"reading {tag}", url, "GET", headers={"Accept": accept})
        if response.status_code in (401, 403):
            raise self._refused(response, f"reading {tag}")
        return response.content if response.status_code == 200 else None

    def head_length(self, descriptor: Descriptor) -> int | None:
        """Length of a blob by ``HEAD``."""
        url = self._provider.url(f"blobs/{descriptor.digest}")
        response = self._ask(f"looking for {descriptor.digest}", url, "HEAD")
        length = response.headers.get("Content-Length", "")
        return int(length) if response.status_code == 200 and _LENGTH.fullmatch(length) else None

    def first_bytes(self, descriptor: Descriptor, count: int) -> bytes:
        """The first bytes of a blob, by range or from the start of the whole."""
        with self.open_blob(descriptor, {"Range": f"bytes=0-{count - 1}"}) as response:
            return (
                b"" if response.status_code == 416 else response.raw.read(count, decode_content=False) or b""
            )


@dataclass
class LiveRelease:
    """A release, read with this machine's credentials for the registry, if there are any."""

    reference: TagReference
    """With the plain tag."""
    insecure: bool
    client: LiveClient
    _blobs: dict[str, str | None] = field(default_factory=dict)

    def artifact(self, tags: tuple[str, ...], accept: str, needed: str) -> Artifact:
        """The first manifest that a client with this ``Accept`` gets at one of these tags.

        Args:
            tags: in the order to try.
            accept: the client's header.
            needed: format that the client reads, for the remedy.

        Raises:
            CannotPullError: there is none.
        """
        for tag in tags:
            found = self._read(tag, accept)
            if found is not None and found.format == needed and found.layers:
                return Artifact(tag, found, _files(found))
        raise CannotPullError(
            f"there is no manifest of the format {needed} at {' or '.join(tags)}",
            f"publish it: starfreight publish PACKAGE {self.reference} --format {needed}",
        )

    def check_model(self, artifact: Artifact) -> None:
        """Check that the model's blob is there, has its length, and begins like a GGUF file.

        Raises:
            CannotPullError: it does not.
        """
        descriptor = artifact.model.descriptor
        if descriptor.digest not in self._blobs:
            self._blobs[descriptor.digest] = self._blob_problem(descriptor)
        if problem := self._blobs[descriptor.digest]:
            raise CannotPullError(
                problem, "publish the package again; if it stays, ask the registry's administrator"
            )

    def tagged(self, tag: str) -> str:
        """The reference with another tag."""
        return str(self.reference.with_tag(tag))

    def _read(self, tag: str, accept: str) -> RemoteManifest | None:
        data = self.client.manifest_for(tag, accept)
        if data is None:
            return None
        try:
            return parse_remote(data, self.tagged(tag))
        except GateError:
            return None

    def _blob_problem(self, descriptor: Descriptor) -> str | None:
        length = self.client.head_length(descriptor)
        if length is None:
            return f"the registry has the manifest, but not the model {descriptor.digest}"
        if length != descriptor.size:
            return f"the model has {length:,} bytes in the registry, and {descriptor.size:,} in the manifest"
        try:
            start = self.client.first_bytes(descriptor, len(_GGUF))
        except StarfreightError as error:
            return error.what.rstrip(".")
        return None if start == _GGUF else "the model's blob is not a GGUF file"


def plain_tag(tag: str) -> str:
    """The tag without the suffix of a format."""
    for suffix in SUFFIXES:
        tag = tag.removesuffix(suffix)
    return tag


@lru_cache(maxsize=32)
def _files(manifest: RemoteManifest) -> tuple[LayerFile, ...]:
    document: dict[str, Any] = json.loads(manifest.data)
    notes = [layer.get("annotations") or {} for layer in document.get("layers", [])]
    return tuple(
        LayerFile(descriptor, _text(note, TITLE), _text(note, FILE_PATH))
        for descriptor, note in zip(manifest.layers, notes, strict=True)
    )


def _text(annotations: Any, name: str) -> str | None:
    value = annotations.get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else None
