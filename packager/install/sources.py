"""Sources of blobs: a package on this disk, and a repository of a registry."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Advance, no_progress
from starfreight.errors import GateError
from starfreight.files import atomic_write
from starfreight.image_layout.reader import ImageLayout, damaged
from starfreight.package import Descriptor
from starfreight.registry.manifests import MAX_MANIFEST_BYTES

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

_CHUNK = 1 << 20


class PackageSource:
    """The blobs of a package's directory."""

    def __init__(self, folder: Path) -> None:
        self._layout = ImageLayout(folder)
        self.where = str(folder)

    def path(self, blob: Descriptor) -> Path:
        """The blob's file in the layout.

        Raises:
            GateError: it is missing, not a regular file, or has another size.
        """
        with self._layout.open(blob):
            return self._layout.blob_path(blob.digest)

    def fetch(self, blob: Descriptor, to: Path, advance: Advance) -> None:
        """Copy a blob.

        Raises:
            GateError: it is missing or damaged.
            ServiceError: the disk is full or not writable.
        """
        digest = hashlib.sha256()
        with self._layout.open(blob) as source, atomic_write(to) as stream:
            while piece := source.read(_CHUNK):
                digest.update(piece)
                stream.write(piece)
                advance(len(piece))
            if "sha256:" + digest.hexdigest() != blob.digest:
                raise damaged(self._layout.blob_path(blob.digest), "does not have the digest in its name")

    def read(self, blob: Descriptor) -> bytes:
        """The bytes of a small blob, verified."""
        return self._layout.read(blob)


class RegistrySource:
    """The blobs of a repository."""

    def __init__(self, client: RegistryClient, reference: str) -> None:
        self._client = client
        self._small: dict[str, bytes] = {}
        self.where = reference

    def path(self, blob: Descriptor) -> Path | None:
        """None: the registry is elsewhere."""
        return None

    def fetch(self, blob: Descriptor, to: Path, advance: Advance) -> None:
        """Download a blob; see :func:`starfreight.registry.fetch_blob.fetch_blob`."""
        from starfreight.registry.fetch_blob import fetch_blob

        fetch_blob(self._client, blob, to, advance)

    def read(self, blob: Descriptor) -> bytes:
        """The bytes of a small blob, verified.

        Raises:
            GateError: it is announced with more than 4 MiB, or the registry sends other bytes.
            ServiceError: the registry cannot be reached, refuses or keeps failing.
        """
        if blob.size > MAX_MANIFEST_BYTES:
            raise GateError(
                f"The blob {blob.digest} is announced with {blob.size:,} bytes; "
                f"the limit is {MAX_MANIFEST_BYTES:,}.",
                where=self.where,
                fix="publish the model again",
            )
        if blob.digest not in self._small:
            with tempfile.TemporaryDirectory(prefix="starfreight-") as folder:
                self.fetch(blob, Path(folder) / "blob", no_progress)
                self._small[blob.digest] = (Path(folder) / "blob").read_bytes()
        return self._small[blob.digest]
