"""The record of a package in a registry, attached to its manifests.

Packages of two runs may have one manifest: that for Ollama holds no time, so that the same files, texts and
licenses give the same bytes. Both records are then attached to it. The tags beside the one that was asked for
tell the packages apart: a release sets them all, and the manifests of other formats hold the time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console, no_progress
from starfreight.errors import GateError, InputError
from starfreight.package import MAX_PACKAGE_BYTES, PACKAGE_FILE, Descriptor, Package
from starfreight.packager.registry.package_record import MANIFESTS, RECORD
from starfreight.packager.registry.remote_manifest import ACCEPT, attached, read_remote
from starfreight.registry import TagReference
from starfreight.registry.reference import SUFFIXES

if TYPE_CHECKING:
    from starfreight.packager.registry.read_model import AnyReference
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


def read_record(
    client: RegistryClient, digest: str, reference: AnyReference, console: Console | None = None
) -> RemoteRecord | None:
    """The record of the package that a manifest belongs to; ``None`` if none is attached.

    Of several records of a package, the newest with most attachments is taken: later publications add theirs.
    Packages that not even the tags tell apart are noted, and the newest is taken.

    Args:
        client: reads the repository.
        digest: of the manifest.
        reference: the manifest as the user named it.
        console: shows the note.

    Raises:
        GateError: the registry sends bytes with another digest, or a malformed manifest.
        InputError: the record is of a newer version, or not valid.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    where = str(reference)
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
    if len(_packages(found)) > 1 and isinstance(reference, TagReference):
        found = _at_the_tags(client, reference, found)
    newest = max(
        found, key=lambda each: (found[each].package.created, len(found[each].package.attachments), each)
    )
    if console is not None and len(packages := _packages(found)) > 1:
        runs = ", ".join(sorted({each.run for each in packages}))
        console.note(
            f"{len(packages)} packages, of the runs {runs}, have the very same manifest at {where}. This is "
            f"the newest, of the run {found[newest].package.run}. The tag or digest of another format names "
            "one of them."
        )
    return found[newest]


def _packages(records: Mapping[str, RemoteRecord]) -> list[Package]:
    """The packages, without the evidence that was added to them."""
    found: list[Package] = []
    for each in records.values():
        package = each.package.model_copy(update={"attachments": ()})
        if package not in found:
            found.append(package)
    return found


def _at_the_tags(
    client: RegistryClient, reference: TagReference, records: dict[str, RemoteRecord]
) -> dict[str, RemoteRecord]:
    """The records with the most of the manifests that the tags of other formats have now."""
    suffix = next((each for each in SUFFIXES if reference.tag.endswith(each)), "")
    others = [reference.tag.removesuffix(suffix) + each for each in ("", *SUFFIXES) if each != suffix]
    there = {client.manifest_digest(tag, ACCEPT) for tag in others}
    counts = {name: len(there & _manifests(each.package)) for name, each in records.items()}
    return {name: each for name, each in records.items() if counts[name] == max(counts.values())}


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
