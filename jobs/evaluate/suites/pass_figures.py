"""Figures of completions that passed or failed: pass@k, in all and by part, and why programs failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starfreight.evaluation import Figure
from starfreight.jobs.evaluate.suites.interface import Measured, Problem
from starfreight.jobs.evaluate.suites.mean_figure import mean_figure
from starfreight.statistics import pass_at_k

PASSED, UNTESTED = "passed", "untested"
"""Scores: 1 or 0; 1 for a completion that could not be judged, which counts in no figure."""
INSTRUCTION = "instruction"
"""Score: 1 for an answer to an instruction, 0 for the continuation of a text."""
_SIZES = (1, 5, 10, 100)

Scored = Mapping[str, Sequence[Mapping[str, float]]]


def summarize_passes(
    problems: Sequence[Problem], scored: Scored, part: Callable[[Problem], str] = lambda problem: ""
) -> Measured:
    """Figures of all completions.

    Args:
        problems: all of them.
        scored: scores of the completions by the problem's id. Beside :data:`PASSED` a score names the
            reason of a failure.
        part: the part of the suite that a problem belongs to, e.g. its language.
    """
    judged = {
        each["id"]: each
        for each in problems
        if scored.get(each["id"]) and all(PASSED in score for score in scored[each["id"]])
    }
    sources = {name: str(each.get("problem") or name) for name, each in judged.items()}
    parts = list(dict.fromkeys(part(each) for each in judged.values()))
    fewest = min((len(scored[name]) for name in judged), default=0)
    figures: list[Figure] = []
    scores: dict[str, dict[str, float]] = {}
    for size in (each for each in _SIZES if each <= fewest):
        name = f"pass@{size}"
        values = scores[name] = {
            each: pass_at_k(len(scored[each]), sum(score[PASSED] == 1 for score in scored[each]), size)
            for each in judged
        }
        for each in ["", *parts] if len(parts) > 1 else [""]:
            chosen = [key for key in values if not each or part(judged[key]) == each]
            figure = mean_figure(name, {key: values[key] for key in chosen}, sources, each)
            if figure is not None:
                figures.append(figure)
    return Measured(
        figures,
        scores,
        problems={name: source for name, source in sources.items() if source != name},
        settings=_settings(problems, scored, judged),
    )


def _settings(problems: Sequence[Problem], scored: Scored, judged: Mapping[str, Problem]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter({PASSED: 0})
    forms: set[str] = set()
    for samples in scored.values():
        for score in samples:
            reasons = sorted(
                name for name, value in score.items() if name not in (PASSED, INSTRUCTION) and value
            )
            outcomes[PASSED if score.get(PASSED) == 1 else (reasons or ["failed"])[0]] += 1
            if INSTRUCTION in score:
                forms.add("instruction" if score[INSTRUCTION] else "completion")
    settings: dict[str, Any] = {"outcomes": dict(outcomes)}
    if forms:
        settings["form"] = " and ".join(sorted(forms))
    left_out = [each["id"] for each in problems if each["id"] not in judged]
    if left_out:
        settings["left_out"] = left_out[:20]
        settings["left_out_count"] = len(left_out)
    return settings
