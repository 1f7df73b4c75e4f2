"""Bring a whole package back from a registry: every variant, with its evidence, as it was published.

The record is attached to each manifest of a package (:mod:`starfreight.packager.registry.package_record`) and
names every file by digest, so any tag or digest of the package leads to all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Advance, Console, no_progress
from starfreight.directories import discard
from starfreight.errors import GateError, InputError
from starfreight.files import PARTIAL_PREFIX, disk_errors, sha256_bytes
from starfreight.image_layout.index import package_entries
from starfreight.image_layout.reader import INDEX_FILE, ImageLayout, sha256_stream
from starfreight.package import PACKAGE_FILE, Attachment, Descriptor, Package
from starfreight.package_evaluations import GATE_ANNOTATION, PREDICATE_ANNOTATION
from starfreight.packager.evaluation.check import without_wrong
from starfreight.packager.layout.rebuild import climbing_path
from starfreight.packager.layout.verify import VerifyReport, verify_layout
from starfreight.packager.layout.writer import LayoutWriter, open_writer
from starfreight.packager.provenance.statement import PREDICATE_TYPE
from starfreight.packager.registry.package_record import RECORD
from starfreight.packager.registry.read_model import parse_any_reference, read_model
from starfreight.packager.registry.read_record import no_record, read_record
from starfreight.packager.registry.remote_manifest import RemoteManifest, attached, read_remote
from starfreight.registry.manifests import build_attachment
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

_LARGEST_EVIDENCE = 64 << 20
"""Bytes of a file of evidence that somebody else attached."""


@dataclass(frozen=True)
class Pulled:
    """A package that was pulled and verified."""

    reference: str
    folder: Path
    package: Package
    report: VerifyReport
    added: int
    """Attachments beyond the record's: evidence that others have attached since."""

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return {
            "reference": self.reference,
            "package": str(self.folder),
            "name": self.package.name,
            "variants": [str(variant.quantization) for variant in self.package.variants],
            "attachments": len(self.package.attachments),
            "attachments_added": self.added,
            "files": self.report.files,
            "bytes": self.report.bytes,
        }


def pull_package(reference: str, folder: Path, *, insecure: bool, console: Console) -> Pulled:
    """Pull a package into a directory and verify it; an interrupted pull continues.

    Args:
        reference: any tag or digest of the package.
        folder: empty or missing, or a package to complete.
        insecure: use plain http.
        console: shows progress.

    Raises:
        InputError: no such model, or the directory holds something else.
        GateError: the model has no record, or bytes are not those that the record names.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    from starfreight.registry.client import RegistryClient

    parsed = parse_any_reference(reference)
    where = str(parsed)
    client = RegistryClient(parsed, insecure=insecure)
    manifest = read_model(client, parsed)
    record = read_record(client, manifest.digest, where)
    if record is None or record.manifests is None:
        raise no_record(where)
    package = record.package
    is_new = not (folder / PACKAGE_FILE).exists()
    here = _earlier_attachments(folder, package)
    with open_writer(folder, console) as writer:
        pull = _Pull(client, folder, writer, where)
        pull.manifests(package, record.manifests)
        pull.files(package, console)
        added = pull.added_evidence(package)
        attachments = (*here, *package.attachments, *added)
        complete = package.model_copy(update={"attachments": tuple(dict.fromkeys(attachments))})
        writer.finish(complete)
        discard(pull.staging, below=pull.staging.parent)
    if pull.left_out:
        console.note(
            f"{pull.left_out} attachments of other programs, releases or models were left in the registry."
        )
    try:
        report = verify_layout(folder, console)
    except GateError:
        if is_new:  # What was never right is no package.
            with disk_errors(folder):
                for name in (PACKAGE_FILE, INDEX_FILE):
                    (folder / name).unlink(missing_ok=True)
        raise
    return Pulled(where, folder, complete, report, len(added))


class _Pull:
    def __init__(self, client: RegistryClient, folder: Path, writer: LayoutWriter, where: str) -> None:
        self._client, self._writer, self._where = client, writer, where
        self._layout = ImageLayout(folder)
        # Beside the package, whose directory holds nothing but its own files.
        resolved = folder.resolve()
        self.staging = resolved.parent / f"{PARTIAL_PREFIX}pull-{resolved.name}"
        self.left_out = 0

    def manifests(self, package: Package, descriptor: Descriptor) -> None:
        """Bring every manifest of a package."""
        from starfreight.registry.fetch_blob import fetch_blob

        if descriptor.size > _LARGEST_EVIDENCE:
            raise self._incomplete(f"is announced with {descriptor.size:,} bytes")
        staged = self.staging / "manifests"
        fetch_blob(self._client, descriptor, staged, no_progress, keep_partial=False)
        try:
            texts = strict_loads(staged.read_bytes())
        except ValueError:
            texts = None
        staged.unlink()
        for entry in package_entries(package):
            text = texts.get(entry.manifest.digest) if isinstance(texts, dict) else None
            if not isinstance(text, str) or sha256_bytes(text.encode()) != entry.manifest.digest:
                raise self._incomplete(f"lacks {entry.manifest.digest}")
            self._writer.add(text.encode(), entry.manifest.media_type)

    def files(self, package: Package, console: Console) -> None:
        """Bring every file of a package, small ones first."""
        manifests = dict.fromkeys(entry.manifest for entry in package_entries(package))
        named = {each.digest: each for each in package.descriptors() if each not in manifests}
        for manifest in manifests:
            references = self._layout.manifest(manifest)
            for blob in (references.config, *references.layers):
                named.setdefault(blob.digest, blob)
        blobs = sorted(named.values(), key=lambda blob: (blob.size, blob.digest))
        total = sum(blob.size for blob in blobs)
        with (
            disk_errors(self._layout.folder),
            console.progress("Pulling", total=total, unit="B") as advance,
        ):
            for blob in blobs:
                self._blob(blob, advance)

    def added_evidence(self, package: Package) -> tuple[Attachment, ...]:
        """Evidence in the registry that the record does not have, such as a signature made elsewhere."""
        known = {each.manifest.digest for each in package.attachments}
        found: dict[str, Attachment] = {}
        for subject in _subjects(package):
            for descriptor in attached(self._client, subject.digest, self._where):
                if descriptor.digest in known | found.keys():
                    continue
                manifest = read_remote(self._client, descriptor.digest, self._where)
                if manifest is None or manifest.artifact_type == RECORD:
                    continue
                if not _is_ours(manifest, subject):
                    self.left_out += 1
                    continue
                attachment = Attachment(
                    subject=subject.digest, artifact_type=manifest.artifact_type, manifest=manifest.descriptor
                )
                for blob in manifest.blobs:
                    self._blob(blob, no_progress)
                self._writer.add(manifest.data, manifest.descriptor.media_type)
                found[descriptor.digest] = attachment
        kept = without_wrong(self._layout, package, tuple(found.values()))
        self.left_out += len(found) - len(kept)
        return kept

    def _incomplete(self, what: str) -> GateError:
        return GateError(
            f"The package's list of manifests in the registry {what}.",
            where=self._where,
            fix="publish the package again, or pull it from where it was published",
        )

    def _blob(self, blob: Descriptor, advance: Advance) -> None:
        from starfreight.registry.fetch_blob import fetch_blob

        if self._has(blob):
            advance(blob.size)
            return
        staged = self.staging / blob.digest.removeprefix("sha256:")
        fetch_blob(self._client, blob, staged, advance)
        self._writer.adopt(staged, blob.media_type, digest=blob.digest, size=blob.size)

    def _has(self, blob: Descriptor) -> bool:
        """True if an interrupted pull left the blob in the layout."""
        try:
            with self._layout.open(blob) as stream:
                return sha256_stream(stream, no_progress) == blob.digest
        except GateError:
            return False


def _subjects(package: Package) -> Iterator[Descriptor]:
    """The manifests that evidence is attached to: each variant's in each format."""
    yield from dict.fromkeys(each.manifest for variant in package.variants for each in variant.manifests)


def _is_ours(manifest: RemoteManifest, subject: Descriptor) -> bool:
    """True for evidence in the form in which packages hold it; no other verifies."""
    if len(manifest.layers) != 1 or manifest.layers[0].size > _LARGEST_EVIDENCE:
        return False
    annotations = strict_loads(manifest.data).get("annotations", {})
    if not isinstance(annotations, dict) or not all(isinstance(each, str) for each in annotations.values()):
        return False
    if (
        climbing_path(annotations) is not None
        or GATE_ANNOTATION in annotations
        or annotations.get(PREDICATE_ANNOTATION) == PREDICATE_TYPE
    ):
        return False  # A package has one statement of its origin and one quality gate: its own.
    built = build_attachment(subject, manifest.layers[0], manifest.artifact_type, annotations)
    return built.manifest == manifest.data


def _earlier_attachments(folder: Path, package: Package) -> tuple[Attachment, ...]:
    """Evidence of the package in the directory, which may not be published yet.

    Raises:
        InputError: it is another package.
    """
    if not (folder / PACKAGE_FILE).exists():
        return ()
    there = Package.load(folder)
    mine, theirs = (each.model_copy(update={"attachments": ()}) for each in (there, package))
    if mine != theirs:
        raise InputError(
            f"The directory holds another package: {there.name} of the run {there.run}.",
            where=str(folder),
            fix="choose another directory",
        )
    return there.attachments
