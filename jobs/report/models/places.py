"""Completions of the same places by several models, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from starfreight.errors import StarfreightError
from starfreight.jobs.report.models.columns import Group
from starfreight.jobs.report.models.figure_text import value_text
from starfreight.records import Part, Record
from starfreight.run import Run

EXAMPLES_FILE = "examples.json"
_LIMIT = 16 << 20
_PLACES, _MODELS = 4, 9
"""Places of a suite, and models of a place, on a page."""

_LONGEST = 4000
"""Characters of a text on a page."""


class _Example(Part):
    id: str
    prefix: str
    suffix: str | None
    expected: str | None
    text: str
    scores: dict[str, FiniteFloat]


class _Examples(Record):
    version: Literal[1]
    suites: Annotated[dict[str, list[_Example]], Field(max_length=1000)]


@dataclass(frozen=True)
class Answer:
    """A model's completion of a place: its label, its text, and its scores in words."""

    label: str
    text: str
    scores: str


@dataclass(frozen=True)
class Place:
    """A place, the text around it, the text that was there, and the models' completions.

    Attributes:
        title: suite and item.
        prefix: the text before it.
        suffix: the text after it.
        expected: the text that was there; ``None`` if there is no right one.
        answers: of the models, in their order.
        more: number of models that are not shown.
    """

    title: str
    prefix: str
    suffix: str
    expected: str | None
    answers: tuple[Answer, ...]
    more: int

    @property
    def last_line(self) -> str:
        """The line in which completions begin."""
        return self.prefix.rpartition("\n")[2]


def places_of_groups(groups: Sequence[Group], labels: Sequence[str]) -> list[Place]:
    """Places of the suites that at least two models completed.

    Args:
        groups: results that compare.
        labels: of the models.
    """
    made = []
    read: dict[Path, _Examples | None] = {}
    for group in groups:
        found: dict[tuple[str, str, str | None, str | None], dict[int, _Example]] = {}
        for number, (measured, _) in group.cells.items():
            folder = measured.folder
            if folder is None:
                continue
            if folder not in read:
                read[folder] = _read(folder)
            examples = read[folder]
            for each in examples.suites.get(group.suite, ()) if examples else ():
                place = (each.id, each.prefix, each.suffix, each.expected)
                found.setdefault(place, {}).setdefault(number, each)
        shared = sorted((each for each in found.items() if len(each[1]) > 1), key=lambda each: -len(each[1]))
        made += [
            _place(f"{group.title}: {key[0]}", key, answers, labels) for key, answers in shared[:_PLACES]
        ]
    return made


def places_of_runs(folders: Sequence[Path]) -> list[Place]:
    """Held-out places that several runs completed at their ends, with the base model's completion."""
    from starfreight.jobs.train.completions import Completions

    found: dict[tuple[str, str, str], list[Answer]] = {}
    for folder in folders:
        completions = Completions.load(folder)
        for each in completions.places if completions else ():
            place = (each.prefix, each.suffix, each.expected)
            answers = found.setdefault(place, [Answer("before training", _cut(each.before), "")])
            answers.append(Answer(Run.load(folder).id, _cut(each.after), ""))
    shared = sorted((each for each in found.items() if len(each[1]) > 2), key=lambda each: -len(each[1]))
    return [
        Place(
            f"Held-out place {number}", _end(prefix), _cut(suffix), _cut(expected),
            tuple(answers[: _MODELS + 1]), max(0, len(answers) - _MODELS - 1),
        )
        for number, ((prefix, suffix, expected), answers) in enumerate(shared[:_PLACES], 1)
    ]  # fmt: skip


def _place(
    title: str,
    key: tuple[str, str, str | None, str | None],
    answers: dict[int, _Example],
    labels: Sequence[str],
) -> Place:
    _, prefix, suffix, expected = key
    shown = [
        Answer(f"[{number}] {labels[number - 1]}", _cut(each.text), _scores(each))
        for number, each in sorted(answers.items())[:_MODELS]
    ]
    whole = None if expected is None else _cut(expected)
    return Place(
        title[:200], _end(prefix), _cut(suffix or ""), whole, tuple(shown), max(0, len(answers) - _MODELS)
    )


def _scores(example: _Example) -> str:
    first = list(example.scores.items())[:4]
    return ", ".join(
        f"{name} {value:g}" if value in (0, 1) else f"{name} {value_text(value, '')}" for name, value in first
    )


def _read(folder: Path) -> _Examples | None:
    try:
        return _Examples.read(folder / EXAMPLES_FILE, newest=1, limit=_LIMIT, kind="list of examples")
    except (StarfreightError, OSError, RecursionError):
        return None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


def _end(text: str) -> str:
    return text if len(text) <= _LONGEST else "… " + text[-_LONGEST:]
