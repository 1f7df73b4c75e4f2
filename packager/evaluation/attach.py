"""Attach evaluations and the quality gate's verdict to a package.

The statements are attached to each manifest of the variant, so that every client's registry lists them, and
the model card gets the figures. The card is a file of the ModelPack manifests, so these get new digests, and
the evidence about them is attached to the new ones. Therefore a package with signatures or other evidence of
other programs keeps its card: the figures are then in the statements alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.evaluation import EVALUATION_FILE, SCORES_FILE, Evaluation, Scores
from starfreight.evaluation_statement import FIGURES, Role, evaluation_misfit
from starfreight.files import read_limited
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package, Variant
from starfreight.package_evaluations import (
    GATE_ANNOTATION,
    MAX_SCORES_BYTES,
    MAX_STATEMENT_BYTES,
    PREDICATE_ANNOTATION,
    SCORES,
    TEST_RESULT,
    read_evaluations,
)
from starfreight.packager import media_types
from starfreight.packager.evaluation.conditions import Conditions, conditions_of
from starfreight.packager.evaluation.quality import Verdict, check_quality
from starfreight.packager.evaluation.recorded_verdict import (
    recorded_conditions,
    recorded_rules,
    recorded_verdict,
)
from starfreight.packager.evaluation.replace_card import replace_card
from starfreight.packager.evaluation.statements import (
    RULES,
    figures_statement,
    parse_verdict,
    verdict_statement,
)
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.layout.writer import LayoutWriter, open_writer
from starfreight.recipe.evaluate import QualityRule

CREATED = "org.opencontainers.image.created"


def attach(package_dir: Path, evaluation_dir: Path, console: Console, role: Role | None = None) -> Package:
    """Attach a finished evaluation to a package. Attached already, it changes nothing.

    A kill at any moment leaves a package that verifies; the same call completes it.

    Args:
        package_dir: the package's directory.
        evaluation_dir: a directory with ``evaluation.json`` and ``scores.json``.
        console: shows progress.
        role: relation of the evaluated model to the package; by default found by its digests and its name,
            which ends in ``-base`` or ``-F16`` for a reference model.

    Returns:
        The package's new record.

    Raises:
        InputError: no package or no finished evaluation there, or an evaluation of another model.
        GateError: the scores are not those of the evaluation, or a file of the package is damaged.
        ServiceError: the disk is full or not writable.
    """
    evaluation = Evaluation.load(evaluation_dir)
    scores = _scores(evaluation_dir, evaluation)
    package = Package.load(package_dir)
    chosen = role or _role(package, evaluation)
    variants = _variants(package, chosen, evaluation, evaluation_dir)
    with open_writer(package_dir, console) as writer:
        package = Package.load(package_dir)
        created = {CREATED: evaluation.ended or package.created}
        evidence: list[Evidence] = []
        for variant in variants:
            statement = figures_statement(package, variant, chosen, evaluation)
            if len(statement) > MAX_STATEMENT_BYTES:
                raise GateError(
                    f"The evaluation has {len(statement):,} bytes; packages hold {MAX_STATEMENT_BYTES:,}.",
                    where=str(evaluation_dir / EVALUATION_FILE),
                    fix="evaluate fewer suites at once",
                )
            annotations = created | {PREDICATE_ANNOTATION: FIGURES}
            evidence += _evidence(variant, statement, media_types.IN_TOTO, annotations)
            if scores is not None:
                evidence += _evidence(variant, scores, SCORES, created)
        extended = _extended(writer, package, evidence)
        extended = _with_verdict(writer, package_dir, extended, None)
        extended = replace_card(writer, ImageLayout(package_dir), extended, console)
        writer.finish(extended, replaces=package)
    return extended


def set_rules(
    package_dir: Path,
    rules: Sequence[QualityRule],
    console: Console,
    evaluations: Sequence[Path] = (),
) -> Verdict | None:
    """Record the rules of the quality gate, and their verdict on the figures attached so far.

    ``publish`` refuses a package by its recorded rules. Empty rules remove the gate.

    Args:
        package_dir: the package's directory.
        rules: ``package.quality`` of the recipe.
        console: shows progress.
        evaluations: directories of the recipe's own evaluations. For their suites, the gate takes no figures
            of other problems or options.

    Returns:
        The verdict; ``None`` without rules.

    Raises:
        InputError: no package there.
        GateError: a file of the package is damaged.
        ServiceError: the disk is full or not writable.
    """
    from starfreight.packager.evaluation.gate import check_package

    package = Package.load(package_dir)
    if tuple(rules) or recorded_rules(package_dir, package):
        with open_writer(package_dir, console) as writer:
            package = Package.load(package_dir)
            conditions = conditions_of(Evaluation.load(each) for each in evaluations)
            extended = _with_verdict(writer, package_dir, package, tuple(rules), conditions)
            if extended != package:
                writer.finish(extended)
    return check_package(package_dir, rules=rules)


def _scores(folder: Path, evaluation: Evaluation) -> bytes | None:
    if evaluation.scores is None:
        return None
    Scores.load(folder, evaluation)
    return read_limited(folder / SCORES_FILE, MAX_SCORES_BYTES, "list of scores")


def _role(package: Package, evaluation: Evaluation) -> Role:
    model = evaluation.model
    for role in ("base", "F16"):
        if model.name.lower().endswith(f"-{role.lower()}") and model.gguf not in {
            variant.gguf.digest for variant in package.variants if package.adapter is None
        }:
            return "base" if role == "base" else "F16"
    return "model"


def _variants(package: Package, role: Role, evaluation: Evaluation, folder: Path) -> tuple[Variant, ...]:
    """The variants that an evaluation is attached to."""
    objections = {}
    for variant in package.variants:
        objections[variant] = evaluation_misfit(package, variant, role, evaluation)
    fitting = tuple(variant for variant, objection in objections.items() if objection is None)
    if fitting:
        return fitting
    same = [each for each in package.variants if each.gguf.digest == evaluation.model.gguf]
    objection = objections[(same or list(package.variants))[0]]
    if not same and role == "model" and evaluation.status == "done" and evaluation.model.gguf:
        objection = f"is of the file {evaluation.model.gguf}, which is not in the package"
    raise InputError(
        f"The evaluation cannot be attached to the package: it {objection}.",
        where=str(folder / EVALUATION_FILE),
        fix="evaluate the package again: starfreight jobs evaluate PACKAGE",
    )


def _evidence(variant: Variant, data: bytes, kind: str, annotations: dict[str, str]) -> Iterator[Evidence]:
    for each in variant.manifests:
        yield Evidence(
            subject=each.manifest, data=data, media_type=kind, artifact_type=kind, annotations=annotations
        )


def _extended(writer: LayoutWriter, package: Package, evidence: Iterable[Evidence]) -> Package:
    attachments = dict.fromkeys(package.attachments)
    attachments |= dict.fromkeys(writer.attach(each) for each in evidence)
    return package.model_copy(update={"attachments": tuple(attachments)})


def _with_verdict(
    writer: LayoutWriter,
    folder: Path,
    package: Package,
    rules: tuple[QualityRule, ...] | None,
    conditions: Conditions | None = None,
) -> Package:
    """The package with the verdict of its rules, unless it has that already.

    Args:
        writer: of the package's directory.
        folder: the package's directory.
        package: its record, perhaps not written yet.
        rules: new rules; ``None`` for those recorded, with their conditions.
        conditions: new conditions.
    """
    chosen = recorded_rules(folder, package) if rules is None else rules
    if not chosen and rules is None:
        return package
    asked = recorded_conditions(folder, package) if rules is None else conditions or {}
    evaluations = read_evaluations(folder, package)
    verdict = check_quality(
        chosen, package, evaluations, lambda each: each.load_scores(folder), conditions=asked
    )
    judged = {each.quantization for each in verdict.outcomes} | {package.default}
    evidence = []
    for variant in package.variants:
        if variant.quantization not in judged:
            continue
        used = [each.statement.digest for each in evaluations.evaluations
                if each.quantization == variant.quantization]  # fmt: skip
        earlier = recorded_verdict(folder, package, variant)
        revision = earlier.revision if earlier else 0
        statement = verdict_statement(package, variant, verdict, used, revision, asked)
        if earlier is None or parse_verdict(statement) != earlier:
            statement = verdict_statement(package, variant, verdict, used, revision + 1, asked)
            annotations = {
                CREATED: package.created,
                PREDICATE_ANNOTATION: TEST_RESULT,
                GATE_ANNOTATION: RULES,
            }
            evidence += list(_evidence(variant, statement, media_types.IN_TOTO, annotations))
    return _extended(writer, package, evidence)
