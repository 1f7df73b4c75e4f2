"""A package with a new model card and a new bill of materials, which have the figures of its evaluations.

The manifests that hold the card get new digests. Everything else of the package stays. Its own evidence about
these manifests is attached to the new ones.
"""

from __future__ import annotations

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package
from starfreight.package_evaluations import (
    GATE_ANNOTATION,
    PREDICATE_ANNOTATION,
    TEST_RESULT,
    evidence_kind,
    read_evaluations,
)
from starfreight.packager import media_types
from starfreight.packager.bom import BomFacts, make_bom
from starfreight.packager.card.figures import with_figures
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.layout.rebuild import read_credits, rebuild_manifests, with_card
from starfreight.packager.layout.write_package import bom_evidence
from starfreight.packager.layout.writer import LayoutWriter
from starfreight.packager.provenance.recorded import read_provenance
from starfreight.packager.provenance.statement import PREDICATE_TYPE
from starfreight.registry.manifests import MAX_MANIFEST_BYTES

_CARD_LIMIT = MAX_MANIFEST_BYTES


def replace_card(writer: LayoutWriter, layout: ImageLayout, package: Package, console: Console) -> Package:
    """Put the package's figures into its card and its bill of materials; the record is left to the caller.

    Args:
        writer: of the package's directory.
        layout: of the same directory.
        package: the record with all evaluations, perhaps not written yet.
        console: takes a note if the card has to stay as it is.

    Returns:
        The record with the new card and new manifests, or ``package`` itself.

    Raises:
        GateError: a file of the package is damaged.
        ServiceError: the disk is full or not writable.
    """
    card = layout.read(package.model_card, _CARD_LIMIT)
    evaluations = read_evaluations(layout.folder, package)
    data = with_figures(card, package, evaluations)
    if data == card:
        return package
    if _foreign(layout, package):
        and_bom = ", and so does its bill of materials" if package.bom is not None else ""
        console.note(
            "The package has signatures or other evidence about its manifests. Its model card stays as it "
            f"is{and_bom}: evaluate before signing. The figures are in the attached statement."
        )
        return package
    credits = read_credits(layout, package)
    changed = with_card(package, writer.add(data, media_types.MARKDOWN), credits)
    for manifest in rebuild_manifests(changed, credits):
        writer.add_manifest(manifest.built)
    moved = {
        each.manifest.digest: other.manifest
        for variant, new in zip(package.variants, changed.variants, strict=True)
        for each, other in zip(variant.manifests, new.manifests, strict=True)
    }
    attached = [each for each in package.attachments if not _is_bom(package, each)]
    attachments = [_moved(writer, layout, each, moved) for each in attached]
    if package.bom is not None:
        bom = make_bom(BomFacts(changed, read_provenance(layout.folder, package), evaluations))
        changed = changed.model_copy(update={"bom": writer.add(bom, media_types.BOM)})
        subjects = dict.fromkeys(each.manifest for variant in changed.variants for each in variant.manifests)
        attachments += [writer.attach(bom_evidence(each, bom, package.created)) for each in subjects]
    return changed.model_copy(update={"attachments": tuple(dict.fromkeys(attachments))})


def _is_bom(package: Package, attachment: Attachment) -> bool:
    return package.bom is not None and attachment.artifact_type == media_types.BOM


def _moved(
    writer: LayoutWriter, layout: ImageLayout, attachment: Attachment, moved: dict[str, Descriptor]
) -> Attachment:
    """The attachment, to the new manifest in place of its subject."""
    subject = moved[attachment.subject]
    if subject.digest == attachment.subject:
        return attachment
    manifest = layout.manifest(attachment.manifest)
    (blob,) = manifest.layers
    evidence = Evidence(
        subject=subject,
        data=layout.read(blob, blob.size),
        media_type=blob.media_type,
        artifact_type=attachment.artifact_type,
        annotations=manifest.annotations,
    )
    return writer.attach(evidence)


def _foreign(layout: ImageLayout, package: Package) -> bool:
    """True if the package has evidence that cannot be attached to another manifest."""
    variants = {each.manifest.digest for variant in package.variants for each in variant.manifests}
    for attachment in package.attachments:
        if attachment.subject not in variants:
            return True
        if _is_bom(package, attachment):
            continue
        annotations = layout.manifest(attachment.manifest).annotations
        kind = evidence_kind(layout, attachment)
        if kind is not None and (kind[0] != TEST_RESULT or GATE_ANNOTATION in annotations):
            continue
        if annotations.get(PREDICATE_ANNOTATION) != PREDICATE_TYPE:
            return True
    return False
