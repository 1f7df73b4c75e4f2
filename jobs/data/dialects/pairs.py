"""An instruction and its answer, each under a key: ``prompt`` and ``response``, Alpaca's keys and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.data.dialects.interface import Draft, Role, Turn
from starfreight.jobs.data.dialects.messages import draft_of, has_tools, is_given, system_of
from starfreight.jobs.data.dialects.turns import SEPARATOR, SYSTEM
from starfreight.jobs.data.dialects.values import optional_text, text_of
from starfreight.jobs.data.rows.values import is_missing

_SYSTEMS = ("system", "system_prompt")
_TOOLS = ("tools", "functions")
_ROLES: tuple[Role, Role] = ("user", "assistant")


@dataclass(frozen=True)
class Pair:
    """An instruction and an answer.

    Beside them, ``system`` (or ``system_prompt``), ``input``, which follows the instruction after an empty
    line, ``history``, a list of earlier instructions with their answers, which are learned, too, and
    ``label``, which is false for a rejected answer, as in TRL. Conversational prompts and completions are
    lists of messages, of which the loss counts those of the completion.
    """

    name: str
    keys: tuple[str, str]
    as_before: bool = False

    def read(self, fields: Mapping[str, Any], where: str) -> Draft:
        """Read the pair and the keys beside it."""
        prompt, answer = (fields[key] for key in self.keys)
        turns: list[Turn] = []
        notes: list[str] = []
        system = system_of(fields, where)
        if system.strip():
            turns.append(Turn("system", system))
            notes.append(SYSTEM)
        if _is_messages(prompt) or _is_messages(answer):
            drafts = [
                draft_of(
                    value if _is_messages(value) else [{"role": role, "content": value}],
                    key, where, learn=role == "assistant",
                )
                for key, value, role in zip(self.keys, (prompt, answer), _ROLES, strict=True)
            ]  # fmt: skip
            also: tuple[str, ...] = ()
        else:
            drafts = [_history(fields.get("history"), where)]
            if drafts[0].turns:
                notes.append("with history")
            added = optional_text(fields, "input", where)
            text = text_of(prompt, self.keys[0], where)
            if added.strip():
                notes.append("with input")
                text = text + SEPARATOR + added if text.strip() else added
            drafts.append(
                Draft(
                    self.name, (Turn("user", text), Turn("assistant", text_of(answer, self.keys[1], where)))
                )
            )
            also = ("input", "history")
        label = fields.get("label")
        names = (*self.keys, *_SYSTEMS, *also, *_TOOLS, *(("label",) if label is False else ()))
        reasons = [
            has_tools(fields),
            *(each.left_out for each in drafts),
            "label is false" if label is False else None,
        ]
        return Draft(
            self.name,
            (*turns, *(turn for each in drafts for turn in each.turns)),
            frozenset(name for name in names if name in fields),
            tuple(key for each in drafts for key in each.unused),
            next((reason for reason in reasons if reason), None),
            (*notes, *(note for each in drafts for note in each.notes)),
            self.as_before and not notes and isinstance(prompt, str) and isinstance(answer, str),
        )


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_messages(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _history(history: Any, where: str) -> Draft:
    """Read pairs of texts (``[["instruction", "answer"]]``), or messages."""
    if not is_given(history):
        return Draft("history")
    if _is_messages(history):
        return draft_of(history, "history", where)
    if _is_list(history) and all(_is_list(each) and len(each) == 2 for each in history):
        turns = (
            Turn(role, "" if is_missing(text) else text_of(text, f"history[{number}]", where))
            for number, pair in enumerate(history)
            for role, text in zip(_ROLES, pair, strict=True)
        )
        return Draft("history", tuple(turns))
    raise InputError(
        "The history of a record is not a list of pairs of texts.",
        where=where,
        fix='write it as [["instruction", "answer"], ...]',
    )
