"""The turns of a conversation in the order of the template: system, instruction, answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from starfreight.jobs.data.dialects.interface import Turn

SEPARATOR = "\n\n"
"""Between messages of one role in a row, as Ollama joins them, and between an instruction and its input."""

SYSTEM = "with a system message"


@dataclass(frozen=True)
class OrderedTurns:
    """Turns, ready for training; the attributes are those of a :class:`Reading`."""

    turns: tuple[Turn, ...]
    left_out: str | None = None
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def ordered_turns(given: Sequence[Turn]) -> OrderedTurns:
    """Put the turns of a record into the form in which the model is prompted.

    Empty system messages are dropped, turns of one role in a row are joined, an answer before the first
    instruction is context only, and turns after the last answer are dropped.
    """
    notes: list[str] = []
    turns: list[Turn] = []
    for turn in given:
        if not turn.text.strip():
            if turn.role != "system":
                return OrderedTurns((), "empty answer" if turn.role == "assistant" else "empty instruction")
            notes.append("with an empty system message (dropped)")
            continue
        if turns and turns[-1].role == turn.role:
            if turns[-1].learn != turn.learn:
                return OrderedTurns((), "answers in a row with different weights")
            turns[-1] = dataclasses.replace(turn, text=turns[-1].text + SEPARATOR + turn.text)
            notes.append("with messages of one role in a row (joined)")
        else:
            turns.append(turn)
    last = max((number for number, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    if last < 0:
        return OrderedTurns((), "no answer")
    dropped = ("messages after the last answer",) if len(turns) > last + 1 else ()
    turns = turns[: last + 1]
    if any(turn.role == "system" for turn in turns):
        notes.append(SYSTEM)
    asked = False
    for number, turn in enumerate(turns):
        if turn.role == "system" and number and turns[number - 1].role == "user":
            return OrderedTurns((), "system message between an instruction and its answer")
        asked = asked or turn.role == "user"
        if turn.role == "assistant" and not asked:
            turns[number] = dataclasses.replace(turn, learn=False)
            notes.append("with an answer before the first instruction (not learned)")
    if not asked:
        return OrderedTurns((), "no instruction before the answer")
    if not any(turn.role == "assistant" and turn.learn for turn in turns):
        return OrderedTurns((), "no answer to learn")
    return OrderedTurns(tuple(turns), None, tuple(dict.fromkeys(notes)), dropped)
