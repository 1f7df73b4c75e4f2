"""Evaluations and verdicts that anybody can attach to a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st
from small_evaluations import digest, passes, suite_result

from starfreight.evaluation import Contamination, EvaluatedModel, Evaluation
from starfreight.evaluation_statement import misfit, parse_figures
from starfreight.package import Descriptor, Package
from starfreight.package_evaluations import PackagedEvaluation, PackageEvaluations
from starfreight.packager.card.figures import statements_in, with_figures, without_figures
from starfreight.packager.evaluation.quality import Verdict, check_quality
from starfreight.packager.evaluation.statements import figures_statement, parse_verdict, verdict_statement
from starfreight.recipe.evaluate import QualityRule

PACKAGE = Package.load(Path(__file__).parents[1] / "golden/finished-packages/golden-fim-de8303b786")
VARIANT = PACKAGE.variants[0]
RULES = (
    QualityRule(suite="fim", figure="exact_match", at_least=0.4),
    QualityRule(suite="fim", figure="exact_match", not_below="F16", within=0.1),
)
CARD = b"---\nlicense: MIT\n---\n# Tiny\n\n## License\n\nMIT.\n"


def _evaluation() -> Evaluation:
    hits = Contamination(data_manifest=digest("m"), method="words", searched=9, found=("task/1",))
    result = suite_result("fim", "exact_match", passes(8, 0.5), parts=("Python",))
    return Evaluation(
        id="e", status="done", ended="2026-01-31T12:00:00+00:00", request={"seed": 0}, sandbox="bubblewrap",
        results=(result.model_copy(update={"contamination": hits}),),
        model=EvaluatedModel(
            name=PACKAGE.name, gguf=VARIANT.gguf.digest, quantization=VARIANT.quantization.value,
            run=PACKAGE.run,
            template=PACKAGE.template.digest if PACKAGE.template else None,
            settings=PACKAGE.settings.digest if PACKAGE.settings else None,
        ),
    )  # fmt: skip


STATEMENT = figures_statement(PACKAGE, VARIANT, "model", _evaluation())


def shown(data: bytes) -> bool:
    """Reads a statement and shows it everywhere; true if it is one of the package's."""
    try:
        statement = parse_figures(data)
    except ValueError as error:
        str(error).encode("utf-8", "backslashreplace")
        return False
    if misfit(PACKAGE, VARIANT, statement) is not None:
        return False
    blob = Descriptor(media_type="a/b", digest=digest("blob"), size=1)
    role, evaluation = statement.predicate.role, statement.predicate.evaluation
    packaged = PackagedEvaluation(VARIANT.quantization, role, evaluation, blob, None)
    found = PackageEvaluations((packaged,))
    card = with_figures(CARD, PACKAGE, found)
    assert without_figures(card) == CARD and (statements_in(card) is None) == (card == CARD)
    check_quality(RULES, PACKAGE, found, lambda each: None)
    return True


def test_the_statement_itself_is_shown() -> None:
    assert shown(STATEMENT)


@fuzz
@given(data=changed_json(json.loads(STATEMENT)))
def test_a_changed_statement(data: bytes) -> None:
    holds(lambda: shown(data))


@fuzz
@given(data=changed_bytes(STATEMENT))
def test_changed_bytes_of_a_statement(data: bytes) -> None:
    holds(lambda: shown(data))


VERDICT = verdict_statement(PACKAGE, VARIANT, Verdict(RULES, ()), [digest("evidence")], 1)


def parsed(data: bytes) -> Any:
    try:
        return parse_verdict(data)
    except ValueError as error:
        return str(error)


def test_the_verdict_itself_is_read() -> None:
    assert parsed(VERDICT).rules == RULES


@fuzz
@given(data=st.one_of(changed_json(json.loads(VERDICT)), changed_bytes(VERDICT)))
def test_a_changed_verdict(data: bytes) -> None:
    holds(lambda: parsed(data))
