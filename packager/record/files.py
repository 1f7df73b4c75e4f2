"""The files of a record: which blob of the package has which name, and what it is.

    for each in record_files(package, ImageLayout(folder)):
        print(each.name, each.what)

Names follow from the package alone, so that equal packages give equal directories. None comes from the
package unchecked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from starfreight.errors import GateError
from starfreight.evaluation_statement import FIGURES
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package
from starfreight.package_evaluations import PREDICATE_ANNOTATION, SCORES, TEST_RESULT
from starfreight.packager.manifests.flat_names import document_names, license_names
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE as BUNDLE
from starfreight.packager.provenance.signing.model_signature import MODEL_SIGNATURE
from starfreight.packager.provenance.signing.signed_statement import BOM_PREDICATE
from starfreight.packager.provenance.statement import PREDICATE_TYPE as PROVENANCE
from starfreight.packager.provenance.withdrawal.statement import WITHDRAWAL
from starfreight.registry.media_types import IN_TOTO

_BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"
_KINDS = {
    PROVENANCE: ("provenance", "signature of the provenance statement"),
    BOM_PREDICATE: ("bom", "signature of the bill of materials"),
    FIGURES: ("figures", "signature of the figures of an evaluation"),
    TEST_RESULT: ("verdict", "signature of a quality gate's verdict"),
    WITHDRAWAL: ("withdrawal", "WITHDRAWAL of the release"),
}
_STATEMENTS = {
    FIGURES: ("evaluations/figures", "figures of an evaluation"),
    TEST_RESULT: ("evaluations/verdict", "verdict of the quality gate"),
}


@dataclass(frozen=True)
class RecordFile:
    """A file of the record.

    Attributes:
        name: path in the directory.
        blob: its contents.
        what: for people.
    """

    name: str
    blob: Descriptor
    what: str


def record_files(package: Package, layout: ImageLayout) -> tuple[RecordFile, ...]:
    """The files of a package's record, without its models.

    Raises:
        GateError: the manifest of an attachment is missing or damaged, or a document has the name of another
            file.
    """
    own = tuple(_own(package))
    found = (*own, *_evidence(package, layout, {each.blob.digest for each in own}))
    names = {each.name.casefold() for each in found}
    if len(names) != len(found):
        raise GateError(
            "The package is not valid: two of its files have one name.",
            where=str(layout.folder),
            fix="verify it: starfreight package verify; or get it again from its source",
        )
    return found


def _own(package: Package) -> Iterator[RecordFile]:
    yield RecordFile("model-card.md", package.model_card, "model card")
    yield RecordFile("provenance.intoto.json", package.provenance, "provenance statement (in-toto, SLSA 1)")
    if package.bom is not None:
        yield RecordFile("bom.cdx.json", package.bom, "bill of materials (CycloneDX)")
    for name, text in license_names(package.licenses):
        yield RecordFile(f"licenses/{name}", text, "license text")
    try:
        documents = document_names(package.documents)
    except ValueError as error:
        raise GateError(
            f"The package is not valid: {error}.", where=package.name, fix="get it again from its source"
        ) from error
    for name, text in documents:
        yield RecordFile(f"base/{name}", text, "document of the base model")
    if (data := package.training_data) is not None:
        yield RecordFile(
            "data/manifest.json", data.manifest, "data manifest: sources and files of the training"
        )
        for each in data.lists:
            what = "texts left out, with reasons" if each.path.startswith("left_out") else "records used"
            yield RecordFile(f"data/{each.path}", each.file, f"list of the data manifest: {what}")
    for file, part, what in (
        ("prompt/template.txt", package.template, "Ollama's prompt template"),
        ("prompt/parameters.json", package.settings, "Ollama's parameters"),
        ("prompt/system.txt", package.system, "system prompt"),
    ):
        if part is not None:
            yield RecordFile(file, part, what)
    for variant in package.variants:
        for manifest in variant.manifests:
            yield RecordFile(
                f"manifests/{variant.tag}{manifest.suffix}.json",
                manifest.manifest,
                f"manifest of {variant.quantization} for {manifest.format}; signatures are about its digest",
            )


def _evidence(package: Package, layout: ImageLayout, known: set[str]) -> Iterator[RecordFile]:
    """Attached files, each once, numbered by kind in the package's order."""
    counts: dict[str, int] = {}
    for attachment in package.attachments:
        manifest = layout.manifest(attachment.manifest)
        if len(manifest.layers) != 1 or manifest.layers[0].digest in known:
            continue
        (layer,) = manifest.layers
        known.add(layer.digest)
        start, end, what = _kind(attachment, manifest.annotations)
        counts[start] = counts.get(start, 0) + 1
        yield RecordFile(f"{start}-{counts[start]}{end}", layer, what)


def _kind(attachment: Attachment, annotations: dict[str, str]) -> tuple[str, str, str]:
    """Start and end of the name, and the kind of the file."""
    if attachment.artifact_type == BUNDLE:
        default = "other", "signature of another statement"
        kind, what = _KINDS.get(annotations.get(_BUNDLE_PREDICATE, ""), default)
        return f"signatures/{kind}", ".sigstore.json", f"{what} (Sigstore bundle)"
    if attachment.artifact_type == IN_TOTO:
        default = "evidence/statement", "in-toto statement"
        start, what = _STATEMENTS.get(annotations.get(PREDICATE_ANNOTATION, ""), default)
        return start, ".intoto.json", what
    if attachment.artifact_type == SCORES:
        return "evaluations/scores", ".json", "values of each item of an evaluation"
    if attachment.artifact_type == MODEL_SIGNATURE:
        return "signatures/model", ".sig", "OpenSSF model signature of an exported directory"
    return "evidence/other", ".bin", f"evidence of the type {attachment.artifact_type}"
