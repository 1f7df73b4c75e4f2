"""Choose among models that were evaluated: the smallest file within the interval of the best one.

    choice = choose_best([Candidate("Q4_K_M", 1824992, evaluation), ...], by="fim/exact_match")
    print(choice.name, choice.reason)

A larger file is worth its size only if it is better by more than the measurement can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.evaluation import Evaluation, Figure, SuiteResult

RULE = "the smallest file whose figure is within the interval of the best"
_COSTS = ("speed",)
"""Suites that measure no quality. They decide only if they are named."""


@dataclass(frozen=True)
class Candidate:
    """A model to choose from.

    Attributes:
        name: of the variant, the quantization, or both.
        size: bytes of its file.
        evaluation: its figures.
        note: for the caller, e.g. a directory.
    """

    name: str
    size: int
    evaluation: Evaluation
    note: str = ""


@dataclass(frozen=True)
class Considered:
    """A candidate with its figure."""

    name: str
    size: int
    figure: Figure
    note: str
    within: bool
    """True if the figure is within the interval of the best."""

    def as_dict(self) -> dict[str, Any]:
        """The candidate as ``--json`` prints it."""
        figure = self.figure
        return {
            "name": self.name,
            "size": self.size,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "within": self.within,
            "note": self.note,
        }


@dataclass(frozen=True)
class Choice:
    """The chosen model.

    Attributes:
        name: of the chosen candidate.
        note: its note.
        best: name of the candidate with the best value.
        by: the figure: ``SUITE/FIGURE`` or ``SUITE/FIGURE/PART``.
        reason: one sentence.
        considered: all candidates, in the order given.
    """

    name: str
    note: str
    best: str
    by: str
    reason: str
    considered: tuple[Considered, ...]

    def as_dict(self) -> dict[str, Any]:
        """The choice as ``--json`` prints it."""
        return {
            "chosen": self.name,
            "best": self.best,
            "by": self.by,
            "rule": RULE,
            "reason": self.reason,
            "note": self.note,
            "considered": [each.as_dict() for each in self.considered],
        }


def choose_best(candidates: Sequence[Candidate], by: str | None = None) -> Choice:
    """Choose a model.

    Args:
        candidates: evaluated models, at least one; all on the same problems.
        by: the figure, ``SUITE/FIGURE`` or ``SUITE/FIGURE/PART``. By default the first one of a suite's whole
            that all candidates have; speed does not count.

    Raises:
        InputError: no candidates, or one lacks the figure or was measured on other problems.
    """
    if not candidates:
        raise InputError("There is no evaluated model to choose from.", fix="evaluate some first")
    chosen = by if by is not None else _common_figure(candidates)
    figures = [_figure(each, chosen) for each in candidates]
    _check_problems(candidates, chosen)
    sign = 1 if figures[0].better == "higher" else -1
    best = max(range(len(figures)), key=lambda at: (sign * figures[at].value, -candidates[at].size))
    bound = figures[best].low if sign > 0 else figures[best].high
    considered = tuple(
        Considered(each.name, each.size, figure, each.note, sign * figure.value >= sign * bound)
        for each, figure in zip(candidates, figures, strict=True)
    )
    within = [at for at, each in enumerate(considered) if each.within]
    at = min(within, key=lambda at: (candidates[at].size, -sign * figures[at].value, candidates[at].name))
    return Choice(
        name=candidates[at].name,
        note=candidates[at].note,
        best=candidates[best].name,
        by=chosen,
        reason=_reason(considered, at, best, chosen),
        considered=considered,
    )


def _reason(considered: Sequence[Considered], at: int, best: int, by: str) -> str:
    chosen, top = considered[at], considered[best]
    figure = top.figure
    interval = (
        f"{_value(figure, figure.value)} ({_value(figure, figure.low)} to {_value(figure, figure.high)})"
    )
    if len(considered) == 1:
        return f"{chosen.name} is the only candidate: {by} is {interval}."
    if at == best:
        return f"{chosen.name} has the best {by}, {interval}; no smaller file is within its interval."
    return (
        f"{chosen.name} is the smallest file within the interval of the best: its {by} is "
        f"{_value(chosen.figure, chosen.figure.value)}, that of {top.name} {interval}."
    )


def _value(figure: Figure, value: float) -> str:
    return f"{value:.1%}" if figure.unit == "fraction" else f"{value:.4g}"


def _common_figure(candidates: Sequence[Candidate]) -> str:
    first, *others = candidates
    for result in first.evaluation.results:
        if result.suite in _COSTS or result.skipped is not None:
            continue
        for figure in result.figures:
            by = f"{result.suite}/{figure.name}"
            if not figure.part and all(_find(each, by) for each in others):
                return by
    raise InputError(
        "The models have no figure of quality in common.",
        where=", ".join(each.name for each in candidates)[:500],
        fix="evaluate all of them with the same suites, or name a figure with --by SUITE/FIGURE",
    )


def _find(candidate: Candidate, by: str) -> tuple[SuiteResult, Figure] | None:
    suite, _, rest = by.partition("/")
    name, _, part = rest.partition("/")
    result = candidate.evaluation.result(suite)
    figure = result.figure(name, part) if result is not None and result.skipped is None else None
    return (result, figure) if result is not None and figure is not None else None


def _figure(candidate: Candidate, by: str) -> Figure:
    found = _find(candidate, by)
    if found is None:
        known = [
            f"{result.suite}/{figure.name}"
            for result in candidate.evaluation.results
            for figure in result.figures
            if not figure.part
        ]
        raise InputError(
            f"{candidate.name} was not measured for {by[:200]!r}.",
            where=candidate.note or candidate.name,
            fix=f"choose by one of {', '.join(dict.fromkeys(known))[:500]}" if known else "evaluate it",
        )
    return found[1]


def _check_problems(candidates: Sequence[Candidate], by: str) -> None:
    digests = {}
    for each in candidates:
        found = _find(each, by)
        source = found[0].source if found else None
        options = [found[0].settings.get(key) for key in ("samples", "temperature")] if found else []
        digests[source.digest if source else None, repr(options)] = each
    if len(digests) > 1:
        names = ", ".join(each.name for each in digests.values())
        raise InputError(
            f"The models were measured on different problems, or with other options, for {by}.",
            where=names[:500],
            fix="evaluate them with the same suites, limits and seed",
        )


def package_candidates(folder: Path, label: str = "") -> tuple[Candidate, ...]:
    """The evaluated quantizations of a package.

    Args:
        folder: the package's directory.
        label: put before the quantization in names, e.g. the name of a sweep's variant.

    Raises:
        InputError: no package there.
    """
    from starfreight.package import Package
    from starfreight.package_evaluations import read_evaluations

    package = Package.load(folder)
    evaluations = read_evaluations(folder, package)
    found = []
    for variant in package.variants:
        results = evaluations.results(variant.quantization)
        if results:
            # The result that counts of each suite, perhaps of several evaluations.
            evaluation = results[0][0].evaluation.model_copy(update={"results": tuple(r for _, r in results)})
            name = f"{label} {variant.quantization}".strip()
            found.append(Candidate(name, variant.gguf.size, evaluation, str(variant.quantization)))
    return tuple(found)
