"""The quality gate's verdict in a package, and its rules."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import StarfreightError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package, Variant
from starfreight.package_evaluations import TEST_RESULT, evidence_kind
from starfreight.packager.evaluation.conditions import Conditions
from starfreight.packager.evaluation.statements import MAX_VERDICT_BYTES, RecordedVerdict, parse_verdict
from starfreight.recipe.evaluate import QualityRule

_MOST = 1000


def recorded_verdict(folder: Path, package: Package, variant: Variant) -> RecordedVerdict | None:
    """The latest verdict on a variant; ``None`` without one. Damaged ones are left out."""
    found = [
        each for each in recorded_verdicts(folder, package, variant) if _is_about(each, package, variant)
    ]
    return max(found, key=lambda each: each.revision, default=None)


def recorded_rules(folder: Path, package: Package) -> tuple[QualityRule, ...]:
    """The rules in force: those of the latest verdict on the default variant."""
    found = recorded_verdict(folder, package, package.default_variant)
    return found.rules if found else ()


def recorded_conditions(folder: Path, package: Package) -> Conditions:
    """The conditions in force, beside :func:`recorded_rules`."""
    found = recorded_verdict(folder, package, package.default_variant)
    return found.conditions if found else {}


def recorded_verdicts(folder: Path, package: Package, variant: Variant) -> list[RecordedVerdict]:
    """All verdicts attached to a variant's manifests, whatever they are about."""
    layout = ImageLayout(folder)
    subjects = {each.manifest.digest for each in variant.manifests}
    blobs = {}
    for attachment in package.attachments:
        if attachment.subject in subjects:
            try:
                found = evidence_kind(layout, attachment)
            except StarfreightError:
                continue
            if found is not None and found[0] == TEST_RESULT:
                blobs[found[1].digest] = found[1]
    verdicts = []
    for blob in list(blobs.values())[:_MOST]:
        try:
            parsed = parse_verdict(layout.read(blob, MAX_VERDICT_BYTES))
        except (StarfreightError, ValueError):
            continue
        if parsed is not None:
            verdicts.append(parsed)
    return verdicts


def _is_about(verdict: RecordedVerdict, package: Package, variant: Variant) -> bool:
    files = [variant.gguf.digest, *([package.adapter.digest] if package.adapter else [])]
    return list(verdict.files) == files
