"""Figures that must not open a quality gate: of a few problems, other options, or code without a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from small_evaluations import passes, suite_result

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.evaluation import Evaluation
from starfreight.package import Package
from starfreight.package_evaluations import read_evaluations
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.evaluation.gate import check_gate, check_package
from starfreight.packager.evaluation.recorded_verdict import recorded_conditions
from starfreight.packager.layout import verify_layout
from starfreight.recipe.evaluate import QualityRule

Evaluate = Callable[..., Path]
RULE = QualityRule(suite="fim", figure="exact_match", at_least=0.5)
LATER = "2026-06-01T00:00:00+00:00"


def result(count: int, rate: float, problems: str = "held-out files", **settings: Any) -> Any:
    values = passes(count, rate)
    return [(suite_result("fim", "exact_match", values, problems=problems, **settings), values)]


def test_a_later_quick_look_replaces_no_whole_evaluation(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    attach(folder, evaluate(folder, results=result(100, 0.1)), console)
    attach(folder, evaluate(folder, results=result(4, 1.0, "four of them"), ended=LATER), console)
    found = read_evaluations(folder).result(Package.load(folder).default, "fim")
    assert found is not None and found[1].source is not None and found[1].source.count == 100
    verdict = check_package(folder, rules=(RULE,))
    assert verdict is not None and verdict.result == "FAILED" and verdict.outcomes[0].measured
    verify_layout(folder, console)


def test_the_order_of_a_card_does_not_depend_on_results_that_do_not_count(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    for hour, suites in enumerate(({"fim": 100}, {"mbpp": 9, "fim": 10}, {"fim": 4}, {"fim": 5, "mbpp": 2})):
        values = {suite: passes(count, 0.5) for suite, count in suites.items()}
        made = evaluate(folder, suites=values, ended=f"2026-02-01T0{hour}:00:00+00:00")
        attach(folder, made, console)
        verify_layout(folder, console)
    found = read_evaluations(folder).results(Package.load(folder).default)
    assert [(each.suite, len(each.figures) and each.figures[0].items) for _, each in found] == [
        ("mbpp", 9),
        ("fim", 100),
    ]


@pytest.mark.parametrize(
    "other",
    [
        result(4, 1.0, "four of them"),
        result(500, 1.0, "easy files"),
        result(100, 1.0, temperature=5.0),
        result(100, 1.0, samples=100),
        result(100, 1.0, seed=1),
        result(100, 1.0, limit=100),
        result(100, 1.0, limit=True),
    ],
    ids=["few", "other files", "temperature", "samples", "seed", "limit", "no number"],
)
def test_only_the_recipes_own_problems_and_options_count(
    other: Any, folder: Path, evaluate: Evaluate, console: Console
) -> None:
    asked = evaluate(folder, results=result(100, 0.1))
    attach(folder, asked, console)
    set_rules(folder, (RULE,), console, [asked])
    settings = dict(other[0][0].settings)
    if settings["limit"] is True:  # As a forged record may have it: equal to 1 in Python.
        asked = evaluate(folder, results=result(100, 0.1, limit=1))
        attach(folder, asked, console)
        set_rules(folder, (RULE,), console, [asked])
    attach(folder, evaluate(folder, results=other, ended=LATER), console)
    with pytest.raises(GateError, match="misses"):
        check_gate(folder)
    # The recorded verdict and its conditions stay as they are, too.
    assert set(recorded_conditions(folder, Package.load(folder))) == {"fim"}
    verify_layout(folder, console)


def test_a_recipe_with_other_options_makes_others_count(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    first, second = (evaluate(folder, results=result(count, 0.9, f"{count} places")) for count in (100, 50))
    attach(folder, first, console)
    set_rules(folder, (RULE,), console, [first])
    attach(folder, second, console)
    second_record = Evaluation.load(second)
    verdict = set_rules(folder, (RULE,), console, [second])
    assert verdict is not None and verdict.outcomes[0].figure == second_record.results[0].figures[0]
    assert set_rules(folder, (), console) is None
    verdict = set_rules(folder, (RULE,), console)
    assert verdict is not None and verdict.outcomes[0].figure is not None
    assert verdict.outcomes[0].figure.items == 100


def test_the_reference_is_measured_under_the_same_conditions(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    rule = QualityRule(suite="fim", figure="exact_match", not_below="base", within=0.01)
    asked = evaluate(folder, results=result(100, 0.5))
    for directory in (
        asked,
        evaluate(folder, role="base", results=result(100, 0.9)),
        evaluate(folder, role="base", results=result(100, 0.0, "other files"), ended=LATER),
    ):
        attach(folder, directory, console)
    verdict = set_rules(folder, (rule,), console, [asked])
    assert verdict is not None and verdict.result == "FAILED" and verdict.outcomes[0].measured


def test_figures_of_code_without_a_sandbox_open_no_gate(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    directory = evaluate(folder, results=result(500, 1.0, "all"), ended=LATER)
    Evaluation.load(directory).model_copy(update={"sandbox": "none"}).save(directory)
    attach(folder, directory, console)
    verdict = check_package(folder, rules=(RULE,))
    assert verdict is not None and verdict.result == "FAILED"
    assert "without a sandbox" in verdict.outcomes[0].reason
    # The card shows it until there is a better one.
    assert read_evaluations(folder).result(Package.load(folder).default, "fim") is not None
    attach(folder, evaluate(folder, results=result(50, 0.9)), console)
    verdict = check_package(folder, rules=(RULE,))
    assert verdict is not None and verdict.result != "FAILED"


@pytest.mark.parametrize("bound", ["at_least", "at_most", "within"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_bound_is_a_finite_number(bound: str, value: float) -> None:
    more = {"not_below": "base"} if bound == "within" else {}
    with pytest.raises(ValidationError, match=r"finite|greater"):
        QualityRule(suite="fim", figure="exact_match", **{bound: value}, **more)  # type: ignore[arg-type]
