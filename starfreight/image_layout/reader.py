"""Read a layout from an untrusted source: bounded, and never outside its directory.

Every method raises :class:`GateError` if the layout is damaged, with the file as ``where``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from starfreight.console import Advance
from starfreight.errors import GateError
from starfreight.image_layout.index import REFERENCE_NAME, IndexEntry
from starfreight.package import Descriptor
from starfreight.registry.manifests import MAX_ENTRIES, MAX_MANIFEST_BYTES
from starfreight.registry.media_types import OCI_INDEX
from starfreight.strict_json import only_exact, strict_loads

INDEX_FILE = "index.json"
LAYOUT_FILE = "oci-layout"
BLOBS = "blobs"
ALGORITHM = "sha256"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK = 1 << 20

_MANIFEST_KEYS = (
    "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"
)  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """The references of a manifest."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str | None
    annotations: dict[str, Any]


class ImageLayout:
    """An OCI image layout.

    Args:
        folder: the directory with ``index.json`` and ``blobs/``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def blob_path(self, digest: str) -> Path:
        """The path of a blob, present or not."""
        if not _DIGEST.fullmatch(digest):
            raise GateError(
                f"{digest[:80]!r} is not a SHA-256 digest.",
                where=str(self.folder),
                fix="get the package again",
            )
        return self.folder / BLOBS / ALGORITHM / digest.removeprefix("sha256:")

    def where(self, descriptor: Descriptor) -> str:
        """The path of a blob for an error message, present or not."""
        return str(self.blob_path(descriptor.digest))

    @contextlib.contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[IO[bytes]]:
        """Open a blob and check its size. The digest is not checked."""
        path = self.blob_path(descriptor.digest)
        for parent in (path.parent.parent, path.parent):
            if parent.is_symlink():
                raise damaged(parent, "is a symbolic link")
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != descriptor.size:
                raise damaged(path, f"has {size:,} bytes where {descriptor.size:,} are announced")
            yield stream

    def read(self, descriptor: Descriptor, limit: int = MAX_MANIFEST_BYTES) -> bytes:
        """The bytes of a small blob; size and digest are checked."""
        path = self.blob_path(descriptor.digest)
        if descriptor.size > limit:
            raise damaged(path, f"is announced with {descriptor.size:,} bytes; the limit is {limit:,}")
        with self.open(descriptor) as stream:
            data = stream.read(limit + 1)
        if hashlib.sha256(data).hexdigest() != path.name:
            raise damaged(path, "does not have the digest in its name")
        return data

    def index(self) -> tuple[IndexEntry, ...]:
        """The entries of ``index.json``."""
        path = self.folder / INDEX_FILE
        data = self.json_file(path)
        entries = tuple(self._entry(path, entry) for entry in _list(path, data, "manifests"))
        if {**data, "manifests": None} != {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None}:
            raise damaged(path, "is not an image index of version 2, or holds more than its manifests")
        return entries

    def manifest(self, descriptor: Descriptor) -> Manifest:
        """A manifest of the layout, in Docker's or OCI's format."""
        path = self.blob_path(descriptor.digest)
        data = _parse(path, self.read(descriptor), names=_MANIFEST_KEYS)
        if data.get("schemaVersion") != 2 or data.get("mediaType") != descriptor.media_type:
            raise damaged(path, "is not a manifest of the announced media type")
        subject = data.get("subject")
        return Manifest(
            config=_descriptor(path, data.get("config")),
            layers=tuple(_descriptor(path, each) for each in _list(path, data, "layers")),
            subject=None if subject is None else _descriptor(path, subject),
            artifact_type=_text(path, data, "artifactType"),
            annotations=_object(path, data, "annotations"),
        )

    def json_blob(self, descriptor: Descriptor) -> dict[str, Any]:
        """A JSON object in a small blob."""
        return _parse(self.blob_path(descriptor.digest), self.read(descriptor))

    def json_file(self, path: Path) -> dict[str, Any]:
        """A JSON object in a file of the layout, of at most 4 MiB."""
        with open_regular(path) as stream:
            data = stream.read(MAX_MANIFEST_BYTES + 1)
        if len(data) > MAX_MANIFEST_BYTES:
            raise damaged(path, f"is larger than {MAX_MANIFEST_BYTES:,} bytes")
        return _parse(path, data)

    def _entry(self, path: Path, entry: Any) -> IndexEntry:
        descriptor = _descriptor(path, entry)
        annotations = _object(path, entry, "annotations")
        found = IndexEntry(
            descriptor, _text(path, annotations, REFERENCE_NAME), _text(path, entry, "artifactType")
        )
        if entry != found.as_json():
            raise damaged(path, f"has an entry for {descriptor.digest} with keys that it should not have")
        return found


def blob_files(folder: Path) -> list[Path]:
    """The regular files among the blobs of a layout, sorted; none if a link is in the way."""
    blobs = folder / BLOBS / ALGORITHM
    if blobs.parent.is_symlink() or blobs.is_symlink() or not blobs.is_dir():
        return []
    return sorted(path for path in blobs.iterdir() if path.is_file() and not path.is_symlink())


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; never a link, a pipe or a device.

    Raises:
        GateError: the file is missing, unreadable or not a regular file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise damaged(path, "is missing") from error
        if error.errno == errno.ELOOP:
            raise damaged(path, "is a symbolic link") from error
        raise unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # Python opens no directory.
        os.close(handle)
        raise damaged(path, "is not a regular file")
    with os.fdopen(handle, "rb") as stream:
        yield stream


def sha256_stream(stream: IO[bytes], advance: Advance) -> str:
    """The digest of the rest of a stream; ``advance`` is called with the size of each piece in bytes."""
    digest = hashlib.sha256()
    while piece := stream.read(_CHUNK):
        digest.update(piece)
        advance(len(piece))
    return "sha256:" + digest.hexdigest()


def damaged(path: Path, what: str) -> GateError:
    """The error for a damaged file; ``what`` completes the sentence that begins with its name."""
    return GateError(
        f"{path.name} {what}.",
        where=str(path),
        fix="make the package again, or get it again from its source",
    )


def unreadable(path: Path, error: OSError) -> GateError:
    """The error for a file that the system does not read, which may be whole."""
    return GateError(
        f"{path.name} cannot be read: {error.strerror or error}.",
        where=str(path),
        fix="check its permissions and the disk, then run the same command again",
    )


def _parse(path: Path, data: bytes, *, names: Iterable[str] = ()) -> dict[str, Any]:
    try:
        value = strict_loads(data)
    except ValueError as error:
        raise damaged(path, f"is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise damaged(path, "is not a JSON object")
    try:
        only_exact(value, names)
    except ValueError as error:
        raise damaged(path, f"is ambiguous: {error}") from error
    return value


def _list(path: Path, data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        raise damaged(path, f"has no list of {key}, or one that is too long")
    return value


def _object(path: Path, data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise damaged(path, f"has {key} that are not an object")
    return value


def _text(path: Path, data: dict[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > 500):
        raise damaged(path, f"has a value for {key} that is not a short text")
    return value


def _descriptor(path: Path, value: Any) -> Descriptor:
    if not isinstance(value, dict):
        raise damaged(path, "has a descriptor that is not an object")
    try:
        return Descriptor(media_type=value["mediaType"], digest=value["digest"], size=value["size"])
    except (KeyError, ValidationError) as error:
        raise damaged(path, "has a descriptor without a valid mediaType, digest and size") from error
