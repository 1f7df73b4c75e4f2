"""The Pareto front: models that no other one beats in everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starfreight.errors import RecipeError
from starfreight.jobs.report.models.columns import Column
from starfreight.jobs.report.models.evaluated import EvaluatedFile

_CHOICES = ("humaneval/pass@1", "fim/exact_match", "perplexity/perplexity")
"""Figures of quality that a comparison takes by itself, the first that there is."""


_COSTS = ("tokens/s", "seconds", "bytes")
"""Units of figures that are no quality."""


@dataclass(frozen=True)
class Front:
    """Size and speed against quality.

    Attributes:
        quality: the figure of quality.
        speed: the figure of speed; ``None`` if no two models were measured on one machine.
        by_size: numbers of the models on the front of size and quality.
        by_speed: of speed and quality.
        whole: of all three, or of size and quality if a model of that front has no speed.
        objectives: the words for the figures of ``whole``.
        sizes: bytes of the models.
    """

    quality: Column
    speed: Column | None
    by_size: tuple[int, ...]
    by_speed: tuple[int, ...]
    whole: tuple[int, ...]
    sizes: Mapping[int, int]
    objectives: str

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "quality": self.quality.path,
            "speed": self.speed.path if self.speed else None,
            "objectives": self.objectives,
            "front": list(self.whole),
            "size_front": list(self.by_size),
            "speed_front": list(self.by_speed),
        }


def find_front(
    files: Sequence[EvaluatedFile], columns: Sequence[Column], quality: str | None
) -> Front | None:
    """Find the fronts.

    Args:
        files: the models, numbered from 1.
        columns: all figures.
        quality: ``SUITE/FIGURE`` or ``SUITE/FIGURE/PART``; ``None`` for the usual one.

    Returns:
        ``None`` if there is no figure of quality.

    Raises:
        RecipeError: no model has the figure that was asked for.
    """
    chosen = _choose(columns, quality)
    if chosen is None:
        return None
    speed = next((each for each in columns if is_speed(each) and len(each.cells) > 1), None)
    sizes = {number: file.size for number, file in enumerate(files, 1) if file.size is not None}
    good = _goodness(chosen)
    fast = _goodness(speed) if speed else {}
    small = {number: -float(size) for number, size in sizes.items()}
    by_size, by_speed = non_dominated(small, good), non_dominated(fast, good)
    every = bool(fast) and set(by_size) <= set(fast)
    whole = non_dominated(small, good, fast) if every else by_size
    objectives = f"size{', speed' if every else ''} and {chosen.path}"
    return Front(chosen, speed, by_size, by_speed, whole, sizes, objectives)


def is_speed(column: Column) -> bool:
    """True for the speed of generation."""
    return column.unit == "tokens/s" and not column.part and column.name == "tokens_per_second"


def non_dominated(*objectives: Mapping[int, float]) -> tuple[int, ...]:
    """Names for which no other one is as good in everything and better in something.

    Args:
        objectives: values by name, the larger the better; names that lack one of them do not count.
    """
    shared = [name for name in objectives[0] if all(name in each for each in objectives)]
    points = {name: [each[name] for each in objectives] for name in shared}

    def beats(first: list[float], second: list[float]) -> bool:
        return first != second and all(a >= b for a, b in zip(first, second, strict=True))

    return tuple(
        sorted(name for name in shared if not any(beats(points[other], points[name]) for other in shared))
    )


def _goodness(column: Column) -> dict[int, float]:
    sign = 1 if column.better == "higher" else -1
    return {number: sign * cell.figure.value for number, cell in column.cells.items()}


def _choose(columns: Sequence[Column], quality: str | None) -> Column | None:
    if quality is not None:
        found = next((each for each in columns if each.path == quality), None)
        if found is None:
            names = dict.fromkeys(each.path for each in columns if each.unit not in _COSTS and not each.part)
            raise RecipeError(
                f"No model has the figure {quality!r}.",
                where="option --quality",
                fix=f"name one of: {', '.join(names)}" if names else "evaluate the models first",
            )
        return found
    usual = [each for name in _CHOICES for each in columns if each.path == name and len(each.cells) > 1]
    others = [
        each for each in columns
        if each.headline and each.unit not in _COSTS and len(each.cells) > 1
    ]  # fmt: skip
    return next(iter([*usual, *others]), None)
