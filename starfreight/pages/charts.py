"""Charts as data: pages draw them as SVG in the colours of the reader's theme, files as PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from starfreight.pages.scale import Scale, make_scale

COLOURS = 8
"""Colours of a theme that can be told apart."""

_MOST_POINTS = 400
"""Points drawn of a line; more make a page slow and no line clearer."""


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: in the legend; empty for none.
        points: x and y.
        colour: number of its colour, from 0; ``None`` for a pale line behind the others.
        dots: mark the points.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int | None = 0
    dots: bool = False

    @cached_property
    def drawn(self) -> tuple[tuple[float, float], ...]:
        """The finite points, at most a few hundred, with the last one."""
        finite = [(x, y) for x, y in self.points if math.isfinite(x) and math.isfinite(y)]
        step = -(-len(finite) // _MOST_POINTS) or 1
        last = finite[-1:] if finite and (len(finite) - 1) % step else []
        return tuple(finite[::step] + last)


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    zero: bool = False
    """Start the y axis at 0."""

    @cached_property
    def x(self) -> Scale:
        """Scale of the x axis."""
        return make_scale((x for line in self.lines for x, _ in line.drawn), zero=True, tight=True)

    @cached_property
    def y(self) -> Scale:
        """Scale of the y axis."""
        return make_scale((y for line in self.lines for _, y in line.drawn), zero=self.zero)

    @property
    def legend(self) -> tuple[tuple[str, int | None], ...]:
        """Names and colours in the order of the colours; several pale lines share an entry."""
        named = [line for line in self.lines if line.name]
        shown: list[tuple[str, int | None]] = [
            (line.name, line.colour)
            for line in sorted(named, key=lambda line: line.colour or 0)
            if line.colour is not None
        ]
        pale = [line.name for line in named if line.colour is None]
        return (*shown, *[(pale[0] if len(pale) == 1 else f"{len(pale)} others", None)] * bool(pale))

    def path(self, line: Line) -> str:
        """SVG path of a line, in units of a thousandth of the plot."""
        return _path([(self.x.place(x), self.y.place(y)) for x, y in line.drawn])

    @property
    def summary(self) -> str:
        """The chart in words, for people who do not see it."""
        ends = [
            f"{line.name}: {line.drawn[0][1]:.4g} to {line.drawn[-1][1]:.4g}"
            for line in self.lines
            if line.name and line.drawn
        ]
        return f"{self.title}: {self.y_label} over {self.x_label}. " + "; ".join(ends)


@dataclass(frozen=True)
class Point:
    """A model in a scatter plot.

    Attributes:
        key: short text beside it.
        name: the whole name.
        x: place on the x axis.
        y: place on the y axis.
        low: lower end of the interval of y.
        high: upper end.
        front: on the Pareto front.
    """

    key: str
    name: str
    x: float
    y: float
    low: float
    high: float
    front: bool


@dataclass(frozen=True)
class ScatterChart:
    """Points with intervals, and a line through the Pareto front."""

    title: str
    x_label: str
    y_label: str
    points: Sequence[Point]
    x_unit: str = ""
    y_unit: str = ""

    @cached_property
    def x(self) -> Scale:
        """Scale of the x axis."""
        values = [point.x for point in self.points]
        # Sizes that differ by a few bytes are the same to a reader.
        near = [share * max(values) for share in (0.95, 1.05)] if values else []
        return make_scale((*values, *near), self.x_unit)

    @cached_property
    def y(self) -> Scale:
        """Scale of the y axis."""
        return make_scale(
            (value for point in self.points for value in (point.low, point.y, point.high)), self.y_unit
        )

    @property
    def front(self) -> tuple[Point, ...]:
        """Points of the front, from left to right."""
        return tuple(sorted((each for each in self.points if each.front), key=lambda each: (each.x, each.y)))

    @property
    def front_path(self) -> str:
        """SVG path through the front."""
        return _path([(self.x.place(point.x), self.y.place(point.y)) for point in self.front])

    @property
    def summary(self) -> str:
        """The chart in words, for people who do not see it."""
        names = ", ".join(point.key for point in self.front) or "none"
        return f"{self.title}: {self.y_label} against {self.x_label}. On the Pareto front: {names}."


@dataclass(frozen=True)
class Whisker:
    """A figure with its interval.

    Attributes:
        key: number of the model.
        name: its name.
        text: figure and interval as text.
        value: the figure.
        low: lower end of the interval.
        high: upper end.
        best: significantly better than all others.
    """

    key: str
    name: str
    text: str
    value: float
    low: float
    high: float
    best: bool = False


@dataclass(frozen=True)
class WhiskerChart:
    """Dots and whiskers: a figure of each model."""

    title: str
    rows: Sequence[Whisker]
    unit: str = ""
    better: str = "higher"
    notes: Sequence[str] = ()
    folded: bool = False
    """Of less interest: shown on demand."""

    @property
    def intervals(self) -> bool:
        """True if a figure has an interval."""
        return any(row.low < row.high for row in self.rows)

    @cached_property
    def scale(self) -> Scale:
        """Scale of the figure."""
        return make_scale((value for row in self.rows for value in (row.low, row.value, row.high)), self.unit)


Chart = LineChart | ScatterChart | WhiskerChart


def legend_colours(names: Sequence[str]) -> Mapping[str, int | None]:
    """Colour of each name; names after the first few share a pale one."""
    return {name: number if number < COLOURS else None for number, name in enumerate(names)}


def _path(places: Sequence[tuple[float, float]]) -> str:
    points = [f"{1000 * x:.1f} {1000 * (1 - y):.1f}" for x, y in places]
    return f"M {' L '.join(points)}" if points else ""
