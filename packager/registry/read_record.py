"""The record of a package in a registry, attached to its manifests."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import no_progress
from starfreight.errors import GateError, InputError
from starfreight.package import MAX_PACKAGE_BYTES, PACKAGE_FILE, Descriptor, Package
from starfreight.packager.registry.package_record import MANIFESTS, RECORD
from starfreight.packager.registry.remote_manifest import attached, read_remote

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

_MOST_ATTACHMENTS = 200
_MOST_RECORDS = 20
"""Records of one manifest that are read: one for each time that evidence was added and published."""


@dataclass(frozen=True)
class RemoteRecord:
    """The record of a package."""

    package: Package
    manifests: Descriptor | None
    """The file of all manifests."""


def read_record(client: RegistryClient, digest: str, where: str) -> RemoteRecord | None:
    """The record of the package that a manifest belongs to; ``None`` if none is attached.

    Of several records, the newest with most attachments is taken: later publications add theirs.

    Raises:
        GateError: the registry sends bytes with another digest, or a malformed manifest.
        InputError: the record is of a newer version, or not valid.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    found: dict[str, RemoteRecord] = {}
    for descriptor in attached(client, digest, where)[:_MOST_ATTACHMENTS]:
        manifest = read_remote(client, descriptor.digest, where)
        if manifest is None or manifest.artifact_type != RECORD or not manifest.layers:
            continue
        blob = manifest.layers[0]
        if blob.digest in found or blob.size > MAX_PACKAGE_BYTES or len(found) >= _MOST_RECORDS:
            continue
        package = _read(client, blob, where)
        if digest in _manifests(package):
            manifests = next((each for each in manifest.layers if each.media_type == MANIFESTS), None)
            found[blob.digest] = RemoteRecord(package, manifests)
    if not found:
        return None
    # Packages of two runs may have one manifest for Ollama, which holds no time.
    return max(
        found.items(),
        key=lambda each: (each[1].package.created, len(each[1].package.attachments), each[0]),
    )[1]


def _manifests(package: Package) -> frozenset[str]:
    return frozenset(each.manifest.digest for variant in package.variants for each in variant.manifests)


def _read(client: RegistryClient, blob: Descriptor, where: str) -> Package:
    from starfreight.registry.fetch_blob import fetch_blob

    with tempfile.TemporaryDirectory(prefix="starfreight-") as name:
        folder = Path(name)
        fetch_blob(client, blob, folder / PACKAGE_FILE, no_progress, keep_partial=False)
        try:
            return Package.load(folder)
        except InputError as error:
            raise type(error)(error.what, where=f"{where}, {PACKAGE_FILE}", fix=error.fix) from error


def no_record(where: str) -> GateError:
    """The error for a model without a record."""
    return GateError(
        f"No {PACKAGE_FILE} is attached to the model: it was not published by Starfreight 0.2 or later.",
        where=where,
        fix="publish the package again, or take the model alone: starfreight package install --to DIR",
    )
