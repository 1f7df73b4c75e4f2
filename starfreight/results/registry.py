"""Results in an OCI registry: an artifact with a layer for each file, and a tag for each name.

The config is the index. Layers have the annotation ``org.opencontainers.image.title``, so ``oras pull``
writes the same files. An unchanged file is the same blob and is not sent again. Tags move after all blobs are
there.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from starfreight.console import Advance, no_progress
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import canonical_json, open_regular, sha256_bytes, write_bytes
from starfreight.package import Descriptor
from starfreight.registry.client import RegistryClient
from starfreight.registry.failures import speaks_no_tls
from starfreight.registry.fetch_blob import fetch_blob
from starfreight.registry.manifests import MAX_MANIFEST_BYTES, descriptor_for, descriptor_json
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.reference import DigestReference, RepositoryReference, is_local
from starfreight.results.address import Place
from starfreight.results.index import MAX_INDEX_BYTES, ResultFile, ResultIndex, read_index
from starfreight.strict_json import only_exact, strict_loads

ARTIFACT_TYPE = "application/vnd.starfreight.result.v1"
INDEX_TYPE = "application/vnd.starfreight.result.v1+json"
_FILE_TYPE = "application/octet-stream"
_TITLE = "org.opencontainers.image.title"


class RegistryResults:
    """See :class:`starfreight.results.interface.ResultsStore`.

    Credentials are those of ``docker login`` (also ``DOCKER_CONFIG``) or of the environment.
    """

    def __init__(self, place: Place, *, write: bool = False) -> None:
        self._place = place
        self._repository = DigestReference(place.host, place.path, "sha256:" + "0" * 64)
        self._client = _connect(self._repository, place, PublishingClient if write else RegistryClient)
        self._sent: set[str] = set()

    def find(self, name: str) -> ResultIndex | None:
        """See :meth:`ResultsStore.find`."""
        where = f"{self._place}{'@' if name.startswith('sha256:') else ':'}{name}"
        data = self._client.get_manifest(name, OCI_MANIFEST)
        if data is None:
            return None
        if name.startswith("sha256:") and sha256_bytes(data) != name:
            raise _invalid("does not match its digest", where)
        config, layers = _read_manifest(data, where)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            fetch_blob(self._client, config, path, no_progress, keep_partial=False)
            index = read_index(path.read_bytes(), where)
        if missing := {one.digest for one in index.contents()} - layers:
            raise _invalid(f"lacks the layer {min(missing)}", where)
        return index

    def get(self, index: ResultIndex, file: ResultFile, to: Path, advance: Advance) -> None:
        """See :meth:`ResultsStore.get`."""
        if file.size == 0:
            _write_empty(file, to)
            return
        fetch_blob(self._client, _descriptor(file), to, advance, keep_partial=False)

    def put(self, index: ResultIndex, folder: Path, names: Sequence[str], advance: Advance) -> str:
        """See :meth:`ResultsStore.put`."""
        client = self._client
        assert isinstance(client, PublishingClient)
        data = index.as_bytes()
        config = descriptor_for(INDEX_TYPE, data)
        manifest = _manifest(index, config)
        if len(data) > MAX_INDEX_BYTES or len(manifest) > MAX_MANIFEST_BYTES:
            raise InputError(
                f"The result has too many files for one artifact: {len(index.files):,}.",
                where=str(folder),
                fix="use object storage (s3://...), or a volume",
            )
        files = _Files(folder, index)
        for file in index.contents():
            if file.digest in self._sent:  # Without a request: the tag keeps them alive.
                advance(file.size)
                continue
            client.upload(files, _descriptor(file), advance)
        client.upload(_Bytes(data), config, no_progress)
        for name in names:
            client.put_manifest(name, OCI_MANIFEST, manifest)
        self._sent = {file.digest for file in index.contents()}
        return sha256_bytes(manifest)


class _Files:
    """Files of a directory as blobs; see :class:`starfreight.registry.publishing.BlobSource`."""

    def __init__(self, folder: Path, index: ResultIndex) -> None:
        self._paths = {file.digest: folder / file.path for file in index.contents()}

    @contextlib.contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[IO[bytes]]:
        with open_regular(self._paths[descriptor.digest], follow=False) as stream:
            yield stream

    def where(self, descriptor: Descriptor) -> str:
        return str(self._paths[descriptor.digest])


class _Bytes:
    """One blob in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @contextlib.contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[IO[bytes]]:
        yield io.BytesIO(self._data)

    def where(self, descriptor: Descriptor) -> str:
        return "the index of the result"


def _connect(repository: RepositoryReference, place: Place, kind: type[RegistryClient]) -> RegistryClient:
    """The client; plain http for `oci+http://` and for a registry of this machine without TLS."""
    if place.scheme == "oci+http":
        return kind(repository, insecure=True)
    client = kind(repository, insecure=False)
    if is_local(repository.host):
        try:
            client.connect()
        except ServiceError as error:
            if not speaks_no_tls(error.__cause__):
                raise
            return kind(repository, insecure=True)
    return client


def _manifest(index: ResultIndex, config: Descriptor) -> bytes:
    layers = [
        {**descriptor_json(_descriptor(file)), "annotations": {_TITLE: file.path}}
        for file in index.files
        if file.size
    ]
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": descriptor_json(config),
            "layers": layers,
            "annotations": {_TITLE: index.name},
        }
    )


def _read_manifest(data: bytes, where: str) -> tuple[Descriptor, set[str]]:
    """The config, and the digests of all layers."""
    try:
        manifest = strict_loads(data)
        if not isinstance(manifest, dict) or manifest.get("artifactType") != ARTIFACT_TYPE:
            raise InputError(
                "The artifact is not a result of a job.",
                where=where,
                fix="check the address: results are sent with run.kubernetes.results",
            )
        only_exact(manifest, {"mediaType", "artifactType", "config", "layers"})
        found: Any = manifest["config"]
        config = Descriptor(media_type=found["mediaType"], digest=found["digest"], size=found["size"])
        layers = {str(layer["digest"]) for layer in manifest["layers"]}
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise _invalid("is not valid", where) from error
    if config.media_type != INDEX_TYPE or config.size > MAX_INDEX_BYTES:
        raise _invalid("has no index of a result", where)
    return config, layers


def _write_empty(file: ResultFile, to: Path) -> None:
    if file.digest != sha256_bytes(b""):
        raise GateError(
            f"{file.path[:200]!r} is empty, but its digest is not that of an empty file.",
            where=str(to),
            fix="do not use this result",
        )
    write_bytes(to, b"")


def _descriptor(file: ResultFile) -> Descriptor:
    return Descriptor(media_type=_FILE_TYPE, digest=file.digest, size=file.size)


def _invalid(what: str, where: str) -> GateError:
    return GateError(
        f"The manifest of the result {what}.",
        where=where,
        fix="check the address; if it is right, do not use this result",
    )
