"""Check that the evaluations in a package are of its files, and that its card shows them as they are."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from starfreight.errors import StarfreightError
from starfreight.evaluation import Scores
from starfreight.evaluation_statement import FIGURES, misfit, parse_figures
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package, Variant
from starfreight.package_evaluations import (
    GATE_ANNOTATION,
    MAX_SCORES_BYTES,
    MAX_STATEMENT_BYTES,
    SCORES,
    TEST_RESULT,
    evidence_kind,
    read_evaluations,
)
from starfreight.packager.card.figures import statements_in, with_figures
from starfreight.packager.evaluation.statements import MAX_VERDICT_BYTES, parse_verdict
from starfreight.registry.manifests import MAX_MANIFEST_BYTES
from starfreight.strict_json import strict_loads


def evidence_problems(layout: ImageLayout, package: Package) -> Iterator[tuple[Attachment, str]]:
    """The attached evaluations, scores and verdicts that are wrong.

    Yields:
        The attachment, and a completion of the sentence "The attachment ...".
    """
    for variant in package.variants:
        subjects = {each.manifest.digest for each in variant.manifests}
        here = [each for each in package.attachments if each.subject in subjects]
        yield from _Examination(layout, package, variant).problems(here)


def without_wrong(
    layout: ImageLayout, package: Package, added: tuple[Attachment, ...]
) -> tuple[Attachment, ...]:
    """Attachments that others have added, without wrong evaluations.

    Args:
        layout: has the manifests and blobs of all.
        package: the record without them.
        added: the attachments.
    """
    extended = package.model_copy(update={"attachments": (*package.attachments, *added)})
    wrong = {attachment for attachment, _ in evidence_problems(layout, extended)}
    return tuple(each for each in added if each not in wrong)


def card_problem(layout: ImageLayout, package: Package) -> str | None:
    """The contradiction between the model card and the attached evaluations; ``None`` if there is none.

    Returns:
        Completion of the sentence "The model card ...".

    Raises:
        GateError: the card is damaged.
    """
    if package.model_card.size > MAX_MANIFEST_BYTES:
        return None  # Larger than one with figures is ever written.
    card = layout.read(package.model_card)
    named = statements_in(card)
    if named is None:
        return None
    evaluations = read_evaluations(layout.folder, package)
    kept = tuple(each for each in evaluations.evaluations if each.statement.digest in named)
    if named != {each.statement.digest for each in kept}:
        return "has figures of an evaluation that is not attached to the package"
    if with_figures(card, package, type(evaluations)(kept)) != card:
        return "has other figures than the attached evaluations"
    return None


class _Examination:
    def __init__(self, layout: ImageLayout, package: Package, variant: Variant) -> None:
        self._layout, self._package, self._variant = layout, package, variant
        self._statements: dict[str, str | None] = {}
        """Problem of each statement with figures, by digest."""
        self._scores: dict[str, str | None] = {}
        self._named_scores: set[str] = set()

    def problems(self, attachments: list[Attachment]) -> Iterator[tuple[Attachment, str]]:
        kinds: list[tuple[Attachment, str, Descriptor]] = []
        for attachment in attachments:
            try:
                found = evidence_kind(self._layout, attachment)
            except StarfreightError:
                continue  # Reported with the attachments.
            if found is not None:
                kinds.append((attachment, *found))
        for attachment, kind, blob in kinds:
            if kind == FIGURES:
                if blob.digest not in self._statements:
                    self._statements[blob.digest] = self._figures(blob)
                if (problem := self._statements[blob.digest]) is not None:
                    yield attachment, problem
        for attachment, kind, blob in kinds:
            if kind == SCORES:
                if blob.digest not in self._scores:
                    self._scores[blob.digest] = self._values(blob)
                if (problem := self._scores[blob.digest]) is not None:
                    yield attachment, problem
            if kind == TEST_RESULT and (problem := self._verdict(attachment, blob)) is not None:
                yield attachment, problem

    def _figures(self, blob: Descriptor) -> str | None:
        try:
            statement = parse_figures(self._layout.read(blob, MAX_STATEMENT_BYTES))
        except StarfreightError as error:
            return f"is damaged: {error.what.rstrip('.')}"
        except ValueError as error:
            return f"is an evaluation that {error}"
        objection = misfit(self._package, self._variant, statement)
        if objection is not None:
            return f"is an evaluation that {objection}"
        if statement.predicate.evaluation.scores is not None:
            self._named_scores.add(statement.predicate.evaluation.scores.digest)
        return None

    def _values(self, blob: Descriptor) -> str | None:
        if blob.digest not in self._named_scores:
            return "has scores that belong to none of the evaluations beside them"
        try:
            data = self._layout.read(blob, MAX_SCORES_BYTES)
            strict_loads(data)
            Scores.model_validate_json(data)
        except StarfreightError as error:
            return f"is damaged: {error.what.rstrip('.')}"
        except (ValidationError, ValueError):
            return "has scores that Starfreight did not write"
        return None

    def _verdict(self, attachment: Attachment, blob: Descriptor) -> str | None:
        annotations = self._layout.manifest(attachment.manifest).annotations
        try:
            verdict = parse_verdict(self._layout.read(blob, MAX_VERDICT_BYTES))
        except StarfreightError as error:
            return f"is damaged: {error.what.rstrip('.')}" if GATE_ANNOTATION in annotations else None
        except ValueError as error:
            return f"is a verdict that {error}"
        if verdict is None:
            return "is no verdict of a quality gate" if GATE_ANNOTATION in annotations else None
        adapter = self._package.adapter
        files = (self._variant.gguf.digest, *([adapter.digest] if adapter else []))
        if verdict.files != files:
            return "is a verdict about other files than the package's"
        if any(self._statements.get(digest, "missing") is not None for digest in verdict.evidence):
            return "is a verdict on evaluations that are not attached beside it"
        return None
