"""Figures of several models that may be compared: of the same problems, with the same settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starfreight.evaluation import Figure, SuiteResult
from starfreight.files import canonical_json
from starfreight.jobs.report.models.evaluated import EvaluatedFile, Measured, suites_of

_FigureKey = tuple[str, str, str, Literal["higher", "lower"]]
"""Name, part, unit and direction of a figure."""

_IGNORED = ("outcomes", "limit")
"""Settings in a record that decide no figure: counts of the outcome, and the limit, since the problems that
are left have a digest of their own."""

_OF_PROBLEMS = ("files", "kinds", "places")
"""Settings that count the problems: other problems have others, which is not worth a word."""

_MACHINE = ("processor", "device", "threads", "slots")
"""Facts of a machine that its speed depends on."""

_HEADLINES = {
    "fim": "exact_match",
    "repository": "exact_match",
    "perplexity": "perplexity",
    "quantization": "kl_divergence",
    "speed": "tokens_per_second",
}
"""Figure of a suite for tables with little room; by default the first one."""

_ITEMS_OF = {"perplexity": "nats_per_token"}
"""Figures that are tested by the items of another one, which they grow with."""

_PER_TOKEN = ("perplexity", "nats_per_token")
"""Figures per token: those of other vocabularies do not compare."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A figure of a model, with its source."""

    figure: Figure
    result: SuiteResult
    measured: Measured

    @property
    def values(self) -> Mapping[str, float]:
        """Values of the items; empty if they are missing."""
        scores = self.measured.scores
        suite = scores.suites.get(self.result.suite) if scores else None
        if suite is None:
            return {}
        return suite.figures.get(self.figure.name) or suite.figures.get(
            _ITEMS_OF.get(self.figure.name, ""), {}
        )

    @property
    def clusters(self) -> Mapping[str, str]:
        """Source problem of each item."""
        scores = self.measured.scores
        suite = scores.suites.get(self.result.suite) if scores else None
        known = suite.problems if suite else {}
        return {item: known.get(item, item) for item in self.values}


@dataclass(frozen=True, eq=False)
class Group:
    """Results of a suite that compare with each other.

    Attributes:
        suite: its name.
        number: from 1, in the order of the number of models; 0 if the suite has one group only.
        source: name of the problems.
        digest: of the problems.
        count: number of problems.
        settings: of the suite.
        machine: facts that decide its speed; empty for other suites.
        cells: result of each model, by its number.
    """

    suite: str
    number: int
    source: str | None
    digest: str | None
    count: int | None
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    cells: Mapping[int, tuple[Measured, SuiteResult]]

    @property
    def title(self) -> str:
        """The suite, with the group's number if there are several."""
        return f"{self.suite} ({self.number})" if self.number else self.suite


@dataclass(frozen=True, eq=False)
class Column:
    """A figure of the models of a group.

    Attributes:
        group: its group.
        name: of the figure.
        part: a language or the like; empty for the whole suite.
        unit: of the figure.
        better: ``higher`` or ``lower``.
        headline: shown where there is little room.
        cells: by the model's number.
    """

    group: Group
    name: str
    part: str
    unit: str
    better: Literal["higher", "lower"]
    headline: bool
    cells: Mapping[int, Cell]

    @property
    def title(self) -> str:
        """Suite and figure; once if they have one name."""
        return self.group.title if self.name == self.group.suite else f"{self.group.title} {self.name}"

    @property
    def path(self) -> str:
        """As in the recipe and in ``--quality``: ``fim/exact_match``."""
        return f"{self.group.suite}/{self.name}" + (f"/{self.part}" if self.part else "")


def make_groups(files: Sequence[EvaluatedFile]) -> tuple[Group, ...]:
    """Divide the results of each suite into groups that compare; the largest group comes first."""
    groups = []
    for suite in suites_of(files):
        found: dict[bytes, dict[int, tuple[Measured, SuiteResult]]] = {}
        for number, file in enumerate(files, 1):
            measurement = file.results().get(suite)
            if measurement is not None:
                found.setdefault(_conditions(*measurement), {})[number] = measurement
        ordered = sorted(found.values(), key=lambda each: (-len(each), min(each)))
        for place, cells in enumerate(ordered, 1):
            measured, result = next(iter(cells.values()))
            source = result.source
            groups.append(
                Group(
                    suite,
                    place if len(ordered) > 1 else 0,
                    source.name if source else None,
                    source.digest if source else None,
                    source.count if source else None,
                    _settings(result),
                    _machine(measured, result),
                    cells,
                )
            )
    return tuple(groups)


def make_columns(groups: Sequence[Group]) -> tuple[Column, ...]:
    """The figures of all groups: those of whole suites first in each."""
    return tuple(column for group in groups for column in _columns(group))


def _columns(group: Group) -> Iterator[Column]:
    figures: dict[_FigureKey, dict[int, Cell]] = {}
    for number, (measured, result) in group.cells.items():
        for figure in result.figures:
            if figure.name in _PER_TOKEN and number in other_vocabularies(group):
                continue
            name: _FigureKey = (figure.name, figure.part, figure.unit, figure.better)
            figures.setdefault(name, {})[number] = Cell(figure, result, measured)
    whole = [key for key in figures if not key[1]]
    wanted = _HEADLINES.get(group.suite, "")
    headline = next((key for key in whole if key[0] == wanted), whole[0] if whole else None)
    for key in sorted(figures, key=lambda each: bool(each[1])):
        yield Column(group, *key, key == headline, figures[key])


def other_vocabularies(group: Group) -> tuple[int, ...]:
    """Models that cut the texts into other tokens than most do: figures per token do not compare."""
    counts = {number: _tokens(result) for number, (_, result) in group.cells.items()}
    most = Counter(counts.values()).most_common(1)
    return tuple(number for number, count in counts.items() if count != most[0][0]) if most else ()


def _tokens(result: SuiteResult) -> Any:
    """Number of tokens of a suite's texts."""
    outcomes = result.settings.get("outcomes")
    found = outcomes.get("tokens") if isinstance(outcomes, dict) else None
    return found if isinstance(found, int) and result.suite == "perplexity" else None


def differences_of(group: Group, first: Group) -> str:
    """Conditions of a group that differ from those of the first one of its suite, in words."""
    found = []
    told: tuple[str, ...] = ()
    if group.digest != first.digest:
        told = _OF_PROBLEMS
        found.append(f"other problems ({_problems(group)} instead of {_problems(first)})")
    for kind, mine, others in (
        ("", group.settings, first.settings),
        ("machine's ", group.machine, first.machine),
    ):
        for key in sorted({*mine, *others}):
            if key not in told and mine.get(key) != others.get(key):
                found.append(f"{kind}{key} {_short(mine.get(key))} instead of {_short(others.get(key))}")
    return ", ".join(found) or "other conditions"


def _problems(group: Group) -> str:
    if group.digest is None:
        return "unknown ones"
    return f"{group.count:,} of {group.source}, {group.digest[7:19]}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _conditions(measured: Measured, result: SuiteResult) -> bytes:
    digest = result.source.digest if result.source else None
    return canonical_json([digest, _settings(result), _machine(measured, result)])


def _settings(result: SuiteResult) -> dict[str, Any]:
    settings = {key: value for key, value in result.settings.items() if key not in _IGNORED}
    if settings.get("temperature") == 0:
        settings.pop("seed", None)  # It draws the problems, too, and their digest tells.
    return settings


def _machine(measured: Measured, result: SuiteResult) -> dict[str, Any]:
    """Facts of the machine, for figures that depend on it."""
    if not any(figure.unit in ("tokens/s", "seconds") for figure in result.figures):
        return {}
    machine = measured.evaluation.machine
    return {key: machine[key] for key in _MACHINE if key in machine}
