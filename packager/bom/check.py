"""Check that a package's bill of materials is the one that its other files determine."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.package_evaluations import read_evaluations
from starfreight.packager import media_types
from starfreight.packager.bom.facts import read_facts
from starfreight.packager.bom.forms import make_bom, parse_bom
from starfreight.registry.manifests import build_attachment, descriptor_for

MAX_BOM_BYTES = 16 << 20


def bom_attachment_problems(package: Package) -> Iterator[str]:
    """Check that each variant's manifests have the package's bill of materials, once, and no other.

    Yields:
        Whole sentences without a full stop.
    """
    if package.bom is None:
        return
    manifests = [each.manifest for variant in package.variants for each in variant.manifests]
    expected = {_attached(package, package.bom, each).digest: each.digest for each in manifests}
    found = [each.manifest.digest for each in package.attachments if each.artifact_type == media_types.BOM]
    for digest, subject in expected.items():
        if digest not in found:
            yield f"the bill of materials is not attached to {subject}"
    if len(found) != len(set(found)) or not set(found) <= expected.keys():
        yield "another bill of materials is attached to a manifest, or one twice"


def bom_annotations(package: Package) -> dict[str, str]:
    """Annotations of the manifest that attaches a bill of materials."""
    return {"org.opencontainers.image.created": package.created}


def _attached(package: Package, bom: Descriptor, subject: Descriptor) -> Descriptor:
    built = build_attachment(subject, bom, media_types.BOM, bom_annotations(package))
    return descriptor_for(built.media_type, built.manifest)


def bom_problem(layout: ImageLayout, package: Package) -> str | None:
    """The contradiction between a package and its bill of materials.

    Returns:
        Completion of the sentence "The bill of materials ..."; ``None`` without a contradiction, and for a
        package without one.

    Raises:
        GateError: it is missing or damaged, or the provenance statement is.
    """
    if package.bom is None:
        return None
    data = layout.read(package.bom, MAX_BOM_BYTES)
    try:
        form, named = parse_bom(data)
    except ValueError:
        return "is not one that Starfreight wrote"
    if form is None:
        return "has a form that this version does not know: upgrade Starfreight"
    evaluations = read_evaluations(layout.folder, package)
    kept = tuple(each for each in evaluations.evaluations if each.statement.digest in named)
    if named != {each.statement.digest for each in kept}:
        return "has figures of an evaluation that is not attached to the package"
    facts = read_facts(layout, package, type(evaluations)(kept))
    try:
        made = make_bom(facts, form)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "cannot be made from the package's statement"
    return None if made == data else "is not the one that the package determines"
