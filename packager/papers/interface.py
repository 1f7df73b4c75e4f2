"""The plug point of forms: official questions, answered from a package's record.

A form is a directory with ``form.yaml`` (its sections and fields) and ``answers.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starfreight.packager.papers.facts import Facts


@dataclass(frozen=True)
class Answer:
    """The record's answer to a field.

    Attributes:
        lines: sentences or items, one per line.
        head: column names of ``rows``.
        rows: a table.
    """

    lines: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Field:
    """A question of a form.

    Attributes:
        key: name of its answer.
        label: the question, in few words.
        provider: the part that only the provider can answer; ``None`` if the record has all of it.
    """

    key: str
    label: str
    provider: str | None = None


@dataclass(frozen=True)
class Section:
    """A section of a form, with its number in the original."""

    number: str
    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Form:
    """A form.

    Attributes:
        name: value of ``--form``.
        title: for people.
        source: the official document, its date and address.
        sections: in the original's order.
        answer: the record's answers, by key of the field.
    """

    name: str
    title: str
    source: str
    sections: tuple[Section, ...]
    answer: Callable[[Facts], Mapping[str, Answer]]


def text(*lines: str) -> Answer:
    """An answer of lines."""
    return Answer(lines=tuple(line for line in lines if line))
