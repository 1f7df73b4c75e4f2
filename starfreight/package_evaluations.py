"""Read the evaluations of a package: statements attached to its manifests, from whoever attached them.

    found = read_evaluations(folder)
    for each in found.of(package.default):
        print(each.evaluation.ended, each.evaluation.results)

No signature is checked here: the figures are as good as their source. A statement about another file than the
one it is attached to is left out and named in ``problems``. The format is documented in
``docs/evaluation-predicate.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starfreight.errors import StarfreightError
from starfreight.evaluation import Evaluation, Scores, SuiteResult
from starfreight.evaluation_statement import FIGURES, Role, ended_at, misfit, parse_figures
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package, Variant
from starfreight.quantization import Quantization
from starfreight.registry.media_types import IN_TOTO
from starfreight.strict_json import strict_loads

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
"""Predicate type of a quality gate's verdict."""
SCORES = "application/vnd.starfreight.scores.v1+json"
"""Media type and artifact type of ``scores.json``."""
PREDICATE_ANNOTATION = "in-toto.io/predicate-type"
_BUNDLE = "application/vnd.dev.sigstore.bundle"
"""Begins the artifact type of signatures, in all versions of the format."""
GATE_ANNOTATION = "dev.starfreight.gate"
"""On the verdict of Starfreight's own gate. ``pull`` takes it from the package's own record alone."""

UNCONFINED = "none"
"""``Evaluation.sandbox`` of generated code that ran as plain processes."""

MAX_STATEMENT_BYTES = 8 << 20
MAX_SCORES_BYTES = 64 << 20
MAX_READ_BYTES = 64 << 20
"""Of all statements of a package together."""
MAX_EVALUATIONS = 1000


@dataclass(frozen=True)
class PackagedEvaluation:
    """An evaluation in a package.

    Attributes:
        quantization: of the variant that it is attached to.
        role: the evaluated model's relation to that variant.
        evaluation: the record.
        statement: the blob that holds it.
        scores: the blob with the value of each item; ``None`` if it is missing.
        signed: true if a trusted signer signed the statement, false if none did; ``None`` if the package has
            signatures that were not checked.
    """

    quantization: Quantization
    role: Role
    evaluation: Evaluation
    statement: Descriptor
    scores: Descriptor | None
    signed: bool | None = False

    @property
    def ended(self) -> datetime:
        """End of the evaluation. Of two results of a suite on as many problems, the later one counts."""
        return ended_at(self.evaluation)

    def load_scores(self, folder: Path) -> Scores | None:
        """Values of the items; ``None`` if the package does not have them.

        Args:
            folder: the package's directory.

        Raises:
            GateError: the file is damaged or too large.
        """
        if self.scores is None:
            return None
        data = ImageLayout(folder).read(self.scores, MAX_SCORES_BYTES)
        try:
            strict_loads(data)
            return Scores.model_validate_json(data)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class PackageEvaluations:
    """All evaluations of a package.

    Attributes:
        evaluations: by variant in the package's order, then the latest first.
        problems: evidence that was left out, with the reason, one sentence each.
    """

    evaluations: tuple[PackagedEvaluation, ...]
    problems: tuple[str, ...] = ()

    def of(self, quantization: Quantization, role: Role = "model") -> tuple[PackagedEvaluation, ...]:
        """The evaluations of a variant, the latest first."""
        return tuple(
            each for each in self.evaluations if each.quantization == quantization and each.role == role
        )

    def result(
        self, quantization: Quantization, suite: str, role: Role = "model"
    ) -> tuple[PackagedEvaluation, SuiteResult] | None:
        """The result of a suite that counts; see :meth:`results`."""
        return next((found for found in self.results(quantization, role) if found[1].suite == suite), None)

    def all_results(
        self, quantization: Quantization, suite: str, role: Role = "model"
    ) -> tuple[tuple[PackagedEvaluation, SuiteResult], ...]:
        """Every result of a suite that was not skipped, the one that counts first."""
        found = [
            (each, result)
            for each in self.of(quantization, role)
            for result in each.evaluation.results
            if result.suite == suite and result.skipped is None and result.figures
        ]
        # Stable: of equal ones, the latest stays first.
        return tuple(sorted(found, key=lambda each: result_weight(each[0].evaluation, each[1]), reverse=True))

    def results(
        self, quantization: Quantization, role: Role = "model"
    ) -> tuple[tuple[PackagedEvaluation, SuiteResult], ...]:
        """The result that counts of each suite: the one with the most problems, of equal ones the latest.

        A quick look with ``--limit 4`` does not replace a whole evaluation. Results of generated code that
        ran without a sandbox come last: it could have written them.
        """
        every = [(each, result) for each in self.of(quantization, role) for result in each.evaluation.results]
        best = {
            suite: next(iter(self.all_results(quantization, suite, role)), None)
            for suite in dict.fromkeys(result.suite for _, result in every)
        }
        # In an order that those which do not count cannot change: cards are checked without them.
        return tuple(
            (each, result)
            for each, result in every
            if (found := best[result.suite]) is not None and found[1] is result
        )


def is_unconfined(evaluation: Evaluation) -> bool:
    """True if generated code ran without a sandbox, and could have changed any figure."""
    return evaluation.sandbox == UNCONFINED


def result_weight(evaluation: Evaluation, result: SuiteResult) -> tuple[bool, int]:
    """Of several results of a suite the largest counts: in a sandbox, then of the most problems.

    Args:
        evaluation: the record.
        result: one of its results with figures.
    """
    problems = result.source.count if result.source else max(each.problems for each in result.figures)
    return not is_unconfined(evaluation), problems


def read_evaluations(folder: Path, package: Package | None = None) -> PackageEvaluations:
    """Read the evaluations of a package. Damaged or foreign evidence is left out, and named.

    Args:
        folder: the package's directory.
        package: its record, if it is loaded.

    Raises:
        InputError: no package there.
    """
    package = package or Package.load(folder)
    layout = ImageLayout(folder)
    problems: dict[str, None] = {}
    found: list[PackagedEvaluation] = []
    budget = MAX_READ_BYTES
    bundles = any(each.artifact_type.startswith(_BUNDLE) for each in package.attachments)
    signed = None if bundles else False
    for variant in package.variants:
        blobs = list(_blobs(layout, package, variant, problems))
        scores = {blob.digest: blob for kind, blob in blobs if kind == SCORES}
        here: list[PackagedEvaluation] = []
        for blob in dict.fromkeys(blob for kind, blob in blobs if kind == FIGURES):
            budget -= blob.size
            if budget < 0 or len(found) + len(here) >= MAX_EVALUATIONS:
                problems["Evaluations beyond the first are not read: there are too many."] = None
                break
            try:
                statement = parse_figures(layout.read(blob, MAX_STATEMENT_BYTES))
                if (objection := misfit(package, variant, statement)) is not None:
                    raise ValueError(objection)
            except StarfreightError as error:
                problems[f"The evaluation {blob.digest} was left out: {error.what}"] = None
                continue
            except ValueError as error:
                problems[f"The evaluation {blob.digest} was left out: it {error}."] = None
                continue
            evaluation = statement.predicate.evaluation
            named = evaluation.scores.digest if evaluation.scores else ""
            role = statement.predicate.role
            here.append(
                PackagedEvaluation(
                    variant.quantization, role, evaluation, blob, scores.get(named), signed=signed
                )
            )
        # Digests decide between equal times, so that every reader takes the same one.
        here.sort(key=lambda each: (each.ended, each.statement.digest), reverse=True)
        found += here
    return PackageEvaluations(tuple(found), tuple(problems))


def evidence_kind(layout: ImageLayout, attachment: Attachment) -> tuple[str, Descriptor] | None:
    """The kind of an attachment and its blob: :data:`FIGURES`, :data:`TEST_RESULT` or :data:`SCORES`.

    Returns:
        ``None`` for any other evidence.

    Raises:
        GateError: the manifest is missing or damaged.
    """
    if attachment.artifact_type not in (IN_TOTO, SCORES):
        return None
    manifest = layout.manifest(attachment.manifest)
    if len(manifest.layers) != 1:
        return None
    predicate = manifest.annotations.get(PREDICATE_ANNOTATION)
    kind = str(predicate) if attachment.artifact_type == IN_TOTO else SCORES
    return (kind, manifest.layers[0]) if kind in (FIGURES, TEST_RESULT, SCORES) else None


def _blobs(
    layout: ImageLayout, package: Package, variant: Variant, problems: dict[str, None]
) -> Iterator[tuple[str, Descriptor]]:
    """Kind and blob of the evidence of a variant's manifests, each once."""
    subjects = {each.manifest.digest for each in variant.manifests}
    seen = set()
    for attachment in package.attachments:
        if attachment.subject not in subjects:
            continue
        try:
            found = evidence_kind(layout, attachment)
        except StarfreightError as error:
            problems[f"The attachment {attachment.manifest.digest} was left out: {error.what}"] = None
            continue
        if found is not None and found not in seen:
            seen.add(found)
            yield found
