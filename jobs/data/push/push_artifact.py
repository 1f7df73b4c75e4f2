"""Push files as an artifact that ``oci://`` sources and base models are read from."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from starfreight.base_artifact import FILE_PATH, TITLE
from starfreight.console import Advance
from starfreight.files import canonical_json, open_regular, sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry.manifests import EMPTY_CONFIG, descriptor_for, descriptor_json
from starfreight.registry.media_types import OCI_EMPTY, OCI_MANIFEST

if TYPE_CHECKING:
    from starfreight.registry.publishing import PublishingClient

DATA = "application/vnd.starfreight.data.v1+json"
BASE = "application/vnd.starfreight.base.v1+json"
_LONGEST_TAG = 60


@dataclass(frozen=True)
class ArtifactFile:
    """A file to push as a layer."""

    file: Path
    name: str
    """Name in the artifact."""
    layer: Descriptor


class _LocalBlobs:
    def __init__(self, files: tuple[ArtifactFile, ...]) -> None:
        self._files = {each.layer.digest: each.file for each in files}

    @contextlib.contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[IO[bytes]]:
        if descriptor.digest not in self._files:
            yield cast(IO[bytes], io.BytesIO(EMPTY_CONFIG))
            return
        with open_regular(self._files[descriptor.digest]) as stream:
            yield stream

    def where(self, descriptor: Descriptor) -> str:
        return str(self._files.get(descriptor.digest, "the empty config"))


def push_artifact(
    client: PublishingClient, kind: str, name: str, files: tuple[ArtifactFile, ...], advance: Advance
) -> tuple[str, str]:
    """Upload files and their manifest.

    Args:
        client: the repository.
        kind: artifact type.
        name: begins the tag.
        files: the layers.
        advance: called with the size of each piece in bytes.

    Returns:
        tag and digest of its manifest. The tag keeps registries from collecting it; recipes use the digest.

    Raises:
        GateError: a file changed meanwhile.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    config = descriptor_for(OCI_EMPTY, EMPTY_CONFIG)
    source = _LocalBlobs(files)
    for blob in {each.digest: each for each in (config, *(file.layer for file in files))}.values():
        client.upload(source, blob, advance)
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": descriptor_json(config),
            "layers": [
                {**descriptor_json(file.layer), "annotations": {TITLE: file.name, FILE_PATH: file.name}}
                for file in files
            ],
        }
    )
    digest = sha256_bytes(manifest)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:_LONGEST_TAG].strip(".-") or "data"
    tag = f"{stem}-{digest.removeprefix('sha256:')[:12]}"
    client.put_manifest(tag, OCI_MANIFEST, manifest)
    return tag, digest
