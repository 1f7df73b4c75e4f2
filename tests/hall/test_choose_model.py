"""Choosing a model: the smallest file within the interval of the best."""

from __future__ import annotations

from typing import Any

import pytest
from small_evaluations import digest

from starfreight.choose_model import Candidate, choose_best
from starfreight.errors import InputError
from starfreight.evaluation import EvaluatedModel, Evaluation, Figure, ProblemSource, SuiteResult


def figure(name: str, value: float, half: float, **more: Any) -> Figure:
    return Figure(
        name=name,
        value=value,
        low=value - half,
        high=value + half,
        items=9,
        problems=9,
        method="normal",
        **more,
    )


def candidate(
    name: str, size: int, *figures: Figure, suite: str = "fim", problems: str = "p", **settings: Any
) -> Candidate:
    results = (
        SuiteResult(suite="speed", figures=(figure("generation", size, 0.0),)),
        SuiteResult(
            suite=suite,
            source=ProblemSource(name="problems", digest=digest(problems), count=9),
            figures=figures,
            settings=settings,
        ),
    )
    evaluation = Evaluation(
        id="e", status="done", model=EvaluatedModel(name=name), request={}, results=results
    )
    return Candidate(name, size, evaluation)


def exact(name: str, size: int, value: float, half: float = 0.05, **more: Any) -> Candidate:
    return candidate(name, size, figure("exact_match", value, half), **more)


@pytest.mark.parametrize(
    ("values", "chosen", "best"),
    [
        # Size, value; the interval is 0.05 to each side.
        ({"Q2_K": (1, 0.30), "Q4_K_M": (2, 0.46), "Q8_0": (4, 0.50), "F16": (8, 0.49)}, "Q4_K_M", "Q8_0"),
        ({"Q2_K": (1, 0.30), "Q4_K_M": (2, 0.40), "Q8_0": (4, 0.50)}, "Q8_0", "Q8_0"),
        ({"a": (2, 0.50), "b": (1, 0.50)}, "b", "b"),
        ({"a": (1, 0.48), "b": (1, 0.49)}, "b", "b"),
        ({"b": (1, 0.50), "a": (1, 0.50)}, "a", "b"),
        ({"only": (1, 0.50)}, "only", "only"),
    ],
)
def test_the_smallest_file_within_the_interval_of_the_best(
    values: dict[str, tuple[int, float]], chosen: str, best: str
) -> None:
    choice = choose_best([exact(name, *each) for name, each in values.items()])
    assert (choice.name, choice.best, choice.by) == (chosen, best, "fim/exact_match")
    assert choice.name in choice.reason
    assert [each["name"] for each in choice.as_dict()["considered"]] == list(values)


def test_of_losses_the_lowest_is_best() -> None:
    models = [
        candidate(name, size, figure("perplexity", value, 0.1, better="lower"))
        for name, size, value in (("small", 1, 3.2), ("middle", 2, 3.05), ("large", 3, 3.0))
    ]
    assert choose_best(models).name == "middle"


def test_the_figure_may_be_named_with_its_part() -> None:
    def both(name: str, size: int, whole: float, python: float) -> Candidate:
        parts = figure("exact_match", whole, 0.01), figure("exact_match", python, 0.01, part="Python")
        return candidate(name, size, *parts)

    models = [both("a", 1, 0.5, 0.1), both("b", 2, 0.4, 0.9)]
    assert choose_best(models).name == "a"
    assert choose_best(models, "fim/exact_match/Python").name == "b"
    assert choose_best(models, "speed/generation").name == "b"


@pytest.mark.parametrize(
    ("models", "by", "problem"),
    [
        ([], None, "no evaluated model"),
        ([exact("a", 1, 0.5), exact("b", 1, 0.5, suite="mbpp")], None, "no figure of quality in common"),
        ([exact("a", 1, 0.5)], "fim/pass@1", "was not measured for 'fim/pass@1'"),
        ([exact("a", 1, 0.5)], "", "was not measured"),
        ([exact("a", 1, 0.5), exact("b", 1, 0.5, problems="q")], None, "on different problems"),
        ([exact("a", 1, 0.5), exact("b", 1, 0.5, samples=100)], None, "with other options"),
        ([exact("a", 1, 0.5), exact("b", 1, 0.5, temperature=[5])], None, "with other options"),
    ],
)
def test_models_that_cannot_be_compared_are_refused(
    models: list[Candidate], by: str | None, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        choose_best(models, by)
