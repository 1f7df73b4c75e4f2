"""The interface of dialects, and the reading of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Turn:
    """One message of a conversation.

    Attributes:
        role: of its author.
        text: its content.
        learn: for an answer, true if the loss counts it.
    """

    role: Role
    text: str
    learn: bool = True


@dataclass(frozen=True)
class Draft:
    """A record as its dialect reads it, before the turns are put in order.

    Attributes:
        dialect: its name in reports.
        turns: in the order of the record; several of one role may follow one another.
        used: the keys of the record that were read.
        unused: keys of its messages that were not, as ``messages[].name``.
        left_out: why the record cannot be trained on; ``None`` if it can.
        notes: as :attr:`Reading.notes`.
        as_before: as :attr:`Reading.as_before`.
    """

    dialect: str
    turns: tuple[Turn, ...] = ()
    used: frozenset[str] = frozenset()
    unused: tuple[str, ...] = ()
    left_out: str | None = None
    notes: tuple[str, ...] = ()
    as_before: bool = False


class Dialect(Protocol):
    """A way to write a conversation as a record."""

    @property
    def name(self) -> str:
        """The name in reports: ``Alpaca``."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that a record of this dialect must have."""

    def read(self, fields: Mapping[str, Any], where: str) -> Draft:
        """Read a record that has the keys.

        Args:
            fields: of the record, under the names of this dialect and without null values.
            where: the record, for errors.

        Raises:
            InputError: a value is invalid, or its meaning is unknown.
        """


@dataclass(frozen=True)
class Reading:
    """A record read as a conversation.

    Attributes:
        dialect: its name.
        keys: the keys of the record that were read, in order.
        turns: system messages, instructions and answers: no two of one role in a row, the last one an answer.
            Empty if the record is left out.
        left_out: why the record cannot be trained on, in a few words; ``None`` if it can.
        notes: what earlier releases read otherwise, in a few words each. They are counted in the data
            manifest, so that a run trained on the earlier reading is not taken for one of this reading.
        unused: keys with a value that training does not use, in alphabetical order.
        dropped: parts of the record that were not trained on before either, in a few words each.
        as_before: true for a record whose text in the data manifest is that of earlier releases.
    """

    dialect: str
    keys: tuple[str, ...]
    turns: tuple[Turn, ...]
    left_out: str | None = None
    notes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    as_before: bool = False

    @property
    def answer(self) -> str:
        """The answers that the loss counts, one after another."""
        return "\n\n".join(turn.text for turn in self.turns if turn.role == "assistant" and turn.learn)
