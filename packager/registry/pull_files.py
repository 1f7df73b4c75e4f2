"""Bring the files of a published package into a layout."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Advance, Console, human_count, no_progress
from starfreight.errors import GateError
from starfreight.files import PARTIAL_PREFIX, disk_errors, sha256_bytes
from starfreight.image_layout.index import package_entries
from starfreight.image_layout.reader import ImageLayout, sha256_stream
from starfreight.package import Attachment, Descriptor, Package
from starfreight.package_evaluations import GATE_ANNOTATION, PREDICATE_ANNOTATION
from starfreight.packager.evaluation.check import without_wrong
from starfreight.packager.layout.rebuild import climbing_path
from starfreight.packager.layout.writer import LayoutWriter
from starfreight.packager.media_types import BOM
from starfreight.packager.provenance.statement import PREDICATE_TYPE
from starfreight.packager.registry.package_record import RECORD
from starfreight.packager.registry.remote_manifest import RemoteManifest, attached, read_remote
from starfreight.registry.manifests import build_attachment
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

_LARGEST_EVIDENCE = 64 << 20
"""Bytes of a file of evidence that somebody else attached."""
_MOST_EVIDENCE = 1_000
"""Manifests that others have attached to a package."""


class PackageFiles:
    """The files of a package in a repository, on their way into a layout.

    Args:
        client: the repository.
        folder: the layout's directory.
        writer: writes into it.
        where: the reference, for errors.
        placeholders: digests of files that are not fetched: an empty file of their size takes their place.
        limit: bytes of all files that are fetched; ``None`` for no limit but the disk.
    """

    def __init__(
        self,
        client: RegistryClient,
        folder: Path,
        writer: LayoutWriter,
        where: str,
        *,
        placeholders: Collection[str] = (),
        limit: int | None = None,
    ) -> None:
        self._client, self._writer, self._where = client, writer, where
        self._layout = ImageLayout(folder)
        self._placeholders = frozenset(placeholders)
        self._limit = limit
        self._listed: dict[str, set[str]] = {}
        # Beside the package, whose directory holds nothing but its own files.
        resolved = folder.resolve()
        self.staging = resolved.parent / f"{PARTIAL_PREFIX}pull-{resolved.name}"
        self.left_out = 0
        """Attachments of other programs, releases or models."""

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
        total = sum(blob.size for blob in blobs if blob.digest not in self._placeholders)
        if self._limit is not None and total > self._limit:
            raise GateError(
                f"The files of the package beside its models have {human_count(total, 'B')}; "
                f"at most {human_count(self._limit, 'B')} are read from a registry.",
                where=self._where,
                fix="pull the package, then name its directory: starfreight package pull",
            )
        with (
            disk_errors(self._layout.folder),
            console.progress("Pulling", total=total, unit="B") as advance,
        ):
            for blob in blobs:
                if blob.digest in self._placeholders:
                    self._placeholder(blob)
                else:
                    self._blob(blob, advance)

    def added_evidence(self, package: Package) -> tuple[Attachment, ...]:
        """Evidence in the registry that the record does not have, such as a signature made elsewhere."""
        known = {each.manifest.digest for each in package.attachments}
        found: dict[str, Attachment] = {}
        seen = 0
        for subject in _subjects(package):
            for descriptor in attached(self._client, subject.digest, self._where):
                self._listed.setdefault(subject.digest, set()).add(descriptor.digest)
                if descriptor.digest in known | found.keys():
                    continue
                seen += 1
                if seen > _MOST_EVIDENCE:
                    raise GateError(
                        f"More than {_MOST_EVIDENCE:,} manifests are attached to the package.",
                        where=self._where,
                        fix="ask the registry's administrator who attached them",
                    )
                manifest = read_remote(self._client, descriptor.digest, self._where)
                if manifest is None or manifest.artifact_type == RECORD:
                    continue
                # A package has one bill of materials. Its manifest for Ollama may have an earlier one, too.
                second_bom = package.bom is not None and manifest.artifact_type == BOM
                if second_bom or not _is_ours(manifest, subject):
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

    def unlisted(self, package: Package) -> tuple[Attachment, ...]:
        """Attachments of the record that the registry does not list beside their published subject.

        Clients such as cosign and gh find evidence by that list. Call after :meth:`added_evidence`.
        """
        return tuple(
            each
            for each in package.attachments
            if each.subject in self._listed and each.manifest.digest not in self._listed[each.subject]
        )

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

    def _placeholder(self, blob: Descriptor) -> None:
        path = self._layout.blob_path(blob.digest)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(handle, blob.size)
        except OSError as error:
            if error.errno not in (errno.EFBIG, errno.EINVAL):
                raise
            raise self._too_large(blob) from error
        finally:
            os.close(handle)

    def _too_large(self, blob: Descriptor) -> GateError:
        return GateError(
            f"The package names a file of {blob.size:,} bytes, more than a disk here can hold.",
            where=f"{self._where}, {blob.digest}",
            fix="do not use it",
        )

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
