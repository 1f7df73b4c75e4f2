"""Check that a package's contents follow from its record: manifests, attachments, texts and statement.

Digests are checked elsewhere (:mod:`starfreight.packager.layout.verify`). Whoever changes a file and hashes
everything again has right digests; what is compared here are the values that depend on one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.data_manifest import DataManifest
from starfreight.errors import GateError
from starfreight.files import canonical_json
from starfreight.image_layout.index import package_entries
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.packager import media_types
from starfreight.packager.layout.gguf_header import header_problems
from starfreight.packager.layout.rebuild import (
    Credits,
    RebuiltManifest,
    read_credits,
    rebuild_attachment,
    rebuild_manifests,
    wrong_media_types,
)
from starfreight.packager.layout.report import Collecting, ReportProblem
from starfreight.packager.layout.training_data import read_checked
from starfreight.registry.manifests import build_attachment

_TEXT_LIMIT = 64 << 20


@dataclass(frozen=True)
class ContentCheck:
    """One comparison of a package with its record.

    Attributes:
        layout: the package's files.
        package: its record.
        record: path of the record.
        problem: called with the path of a wrong file and the text of the problem.
        collecting: turns a reader's refusal into a problem at a path.
        broken: digests of corrupt blobs, which are reported already.
        placeholders: digests of models without bytes, whose headers cannot be read.
    """

    layout: ImageLayout
    package: Package
    record: Path
    problem: ReportProblem
    collecting: Collecting
    broken: set[str]
    placeholders: frozenset[str] = frozenset()

    def run(self) -> None:
        """Report every problem."""
        for descriptor in wrong_media_types(self.package):
            self._differs(
                self.record, f"the blob {descriptor.digest} has the media type {descriptor.media_type}"
            )
        credits = Credits()
        with self.collecting(self.record, "contents"):
            credits = read_credits(self.layout, self.package)
        try:
            for manifest in rebuild_manifests(self.package, credits):
                self._compare(manifest)
        except ValueError as error:
            self._differs(self.record, f"{self.record.name} is wrong: {error}")
        self._attachments()
        self._evaluations()
        with self.collecting(self.record, "contents"):
            self._statement(credits)
        self._bill_of_materials()

    def _differs(self, path: Path, what: str) -> None:
        self.problem(path, what, "contents")

    def _compare(self, manifest: RebuiltManifest) -> None:
        digest = manifest.recorded.digest
        if manifest.is_recorded or digest in self.broken:
            return
        path = self.layout.blob_path(digest)
        if path.exists():  # A missing one is reported already.
            self._differs(path, f"the manifest {digest} is not the one that {self.record.name} determines")

    def _attachments(self) -> None:
        manifests = {entry.manifest.digest: entry.manifest for entry in package_entries(self.package)}
        for attachment in self.package.attachments:
            path = self.layout.blob_path(attachment.manifest.digest)
            subject = manifests.get(attachment.subject)
            if subject is None:
                self._differs(path, "an attachment refers to none of the package's manifests")
                continue
            if attachment.manifest.digest in self.broken or not path.exists():
                continue
            with self.collecting(path, "contents"):
                self._compare(rebuild_attachment(self.layout, attachment, subject))

    def _evaluations(self) -> None:
        from starfreight.packager.evaluation.check import card_problem, evidence_problems

        with self.collecting(self.record, "contents"):
            for attachment, what in evidence_problems(self.layout, self.package):
                self._differs(self.layout.blob_path(attachment.manifest.digest), f"an attachment {what}")
        card = self.package.model_card.digest
        if card in self.broken:
            return
        with self.collecting(self.layout.blob_path(card), "contents"):
            if (problem := card_problem(self.layout, self.package)) is not None:
                self._differs(self.layout.blob_path(card), f"the model card {problem}")

    def _bill_of_materials(self) -> None:
        from starfreight.packager.bom.check import bom_attachment_problems, bom_problem

        bom, provenance = self.package.bom, self.package.provenance
        if bom is None or not self.broken.isdisjoint((bom.digest, provenance.digest)):
            return
        path = self.layout.blob_path(bom.digest)
        with self.collecting(path, "contents"):
            for what in bom_attachment_problems(self.package):
                self._differs(self.record, what)
            if (problem := bom_problem(self.layout, self.package)) is not None:
                # It follows from the statement, so a wrong statement is named first.
                self.problem(path, f"the bill of materials {problem}", "statement")

    def _statement(self, credits: Credits) -> None:
        from starfreight.packager.provenance.compare import PackageSources, is_made_up, statement_problems
        from starfreight.packager.provenance.recorded import statement_limit

        package, layout = self.package, self.layout
        statement = self._read(package.provenance, statement_limit(package))
        named = {"template": package.template, "settings": package.settings, "system": package.system}
        texts = {name: self._read(part, _TEXT_LIMIT) for name, part in named.items() if part is not None}
        present = {name: text for name, text in texts.items() if text is not None}
        if "settings" in present and package.settings is not None:
            self._settings(layout.blob_path(package.settings.digest), present["settings"])
        if statement is None or present.keys() != texts.keys():
            return  # A damaged file, reported already.
        self._provenance_attached()
        path = layout.blob_path(package.provenance.digest)
        links = (credits.doc_url, credits.dataset_urls) if credits.has_links else None
        sources = PackageSources(credits.authors, credits.source_url, present, links)
        training = self._training_data()
        for what in statement_problems(statement, package, sources, training):
            self.problem(path, f"the provenance statement {what}", "statement")
        if not is_made_up(statement, package):
            for file, what in self._headers():
                self._differs(layout.blob_path(file.digest), f"the model {file.digest} {what}")

    def _training_data(self) -> DataManifest | None:
        """The data manifest, if there is one and it can be read; its problems are reported."""
        files = self.package.training_data
        if files is None or not self.broken.isdisjoint(
            each.digest for each in (files.manifest, *(entry.file for entry in files.lists))
        ):
            return None
        path = self.layout.blob_path(files.manifest.digest)
        with self.collecting(path, "contents"):
            manifest, problems = read_checked(self.layout, self.package)
            for what in problems:
                self._differs(path, f"the data manifest {what}")
            return manifest
        return None

    def _headers(self) -> Iterator[tuple[Descriptor, str]]:
        files = [variant.gguf.digest for variant in self.package.variants]
        if not self.placeholders.isdisjoint(files):
            return
        if self.broken.isdisjoint(files) and all(self.layout.blob_path(each).exists() for each in files):
            yield from header_problems(self.layout, self.package)

    def _read(self, descriptor: Descriptor, limit: int) -> bytes | None:
        if descriptor.digest in self.broken:
            return None
        try:
            return self.layout.read(descriptor, limit)
        except GateError:
            return None  # Reported when the record's descriptors were followed.

    def _settings(self, path: Path, data: bytes) -> None:
        try:
            settings = json.loads(data)  # A dictionary for Ollama, whose keys may differ only in case.
            written = canonical_json(settings)  # Half of a surrogate pair has no bytes.
        except (ValueError, RecursionError) as error:
            self._differs(path, f"the parameters are not valid JSON: {error}")
            return
        if not isinstance(settings, dict) or written != data:
            self._differs(path, "the parameters are not a JSON object as packages are written with")

    def _provenance_attached(self) -> None:
        """Check that each variant's manifests have the package's statement, and no other of its kind."""
        from starfreight.packager.provenance.statement import PREDICATE_TYPE

        package = self.package
        annotations = {
            "org.opencontainers.image.created": package.created,
            "in-toto.io/predicate-type": PREDICATE_TYPE,
        }
        expected = {}
        for variant in package.variants:
            for each in variant.manifests:
                built = build_attachment(each.manifest, package.provenance, media_types.IN_TOTO, annotations)
                expected[RebuiltManifest(each.manifest, built).digest] = each.manifest.digest
        attached = {attachment.manifest.digest: attachment for attachment in package.attachments}
        for manifest, subject in expected.items():
            if manifest not in attached:
                self.problem(
                    self.record, f"the provenance statement is not attached to {subject}", "statement"
                )
        for digest, attachment in attached.items():
            if digest not in expected and attachment.artifact_type == media_types.IN_TOTO:
                found = self.layout.manifest(attachment.manifest)
                if found.annotations.get("in-toto.io/predicate-type") == PREDICATE_TYPE:
                    self.problem(
                        self.layout.blob_path(digest),
                        "another provenance statement is attached to a manifest",
                        "statement",
                    )
