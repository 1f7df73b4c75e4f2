"""The reading of a record of instructions: finds its dialect, and accounts for every key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.data.dialects.interface import Dialect, Draft, Reading
from starfreight.jobs.data.dialects.messages import Messages, is_given
from starfreight.jobs.data.dialects.pairs import Pair
from starfreight.jobs.data.dialects.turns import ordered_turns
from starfreight.jobs.data.dialects.unknown import unknown_dialect
from starfreight.jobs.data.rows.values import is_missing
from starfreight.jobs.data.sources.common_columns import is_about_file
from starfreight.recipe.data import Columns, Data

DIALECTS: tuple[Dialect, ...] = (
    Messages(("messages",), as_before=True),
    Messages(("conversations",)),
    Messages(("conversation",)),
    Pair("prompt and response", ("prompt", "response"), as_before=True),
    Pair("prompt and completion", ("prompt", "completion")),
    Pair("Alpaca", ("instruction", "output")),
)
"""All dialects; of a record with several, each has to give the same conversation."""
_COLUMNS = ("prompt", "response", "messages", "system", "input", "history")
"""The keys of ``data.columns`` for conversations."""


@dataclass(frozen=True)
class _Fields:
    """A record under the names of the dialects.

    Attributes:
        fields: by name; null and NaN included.
        dialects: that may read it.
        displaced: fields with values whose names the recipe gives to other columns.
    """

    fields: Mapping[str, Any]
    dialects: tuple[Dialect, ...]
    displaced: tuple[str, ...]


def read_conversation(record: Mapping[str, Any], data: Data, where: str) -> Reading:
    """Read a record of instructions.

    Args:
        record: its fields; null and NaN are the same as a missing field.
        data: the source, whose ``columns`` may rename the fields.
        where: the record, for errors.

    Raises:
        InputError: the record is of no known dialect, or a field has an invalid value or an unknown meaning.
    """
    found = _renamed(record, data.columns, where)
    given = {name: value for name, value in found.fields.items() if not is_missing(value)}
    drafts = [
        (dialect, dialect.read(given, where))
        for dialect in found.dialects
        if all(key in given for key in dialect.keys)
    ]
    # An empty list of messages beside a conversation is no conversation.
    drafts = [each for each in drafts if each[1].turns or each[1].left_out] or drafts[:1]
    if not drafts:
        return _without_values(record, found, given, where)
    dialect, draft = drafts[0]
    for other, another in drafts[1:]:
        if another.turns != draft.turns:
            keys = " and in ".join(" and ".join(each.keys) for each in (dialect, other))
            raise InputError(
                f"A record holds two different conversations, in {keys}.",
                where=where,
                fix="name the one to learn: data.columns.messages, or data.columns.prompt and response",
            )
        draft = draft if draft.as_before else another
    used = frozenset[str]().union(*(each.used for _, each in drafts))
    return _reading(draft, used, given, found.displaced, data.columns)


def _without_values(
    record: Mapping[str, Any], found: _Fields, given: Mapping[str, Any], where: str
) -> Reading:
    """Return the reading of a record in which a key of its dialect is null."""
    of_keys = [each for each in found.dialects if all(key in found.fields for key in each.keys)]
    if not of_keys:
        raise unknown_dialect(record, found.dialects, where)
    nearest = max(of_keys, key=lambda each: sum(key in given for key in each.keys))
    asked = len(nearest.keys) == 1 or nearest.keys[0] in given
    reason = "empty answer" if asked else "empty instruction"
    return Reading(nearest.name, nearest.keys, (), reason)


def _reading(
    draft: Draft,
    used: frozenset[str],
    given: Mapping[str, Any],
    displaced: tuple[str, ...],
    columns: Columns,
) -> Reading:
    keys = (*(key for key in given if key in used), *sorted(used - given.keys()))
    others = {
        key
        for key, value in given.items()
        if key not in used and is_given(value) and not is_about_file(key, columns)
    }
    unused = tuple(sorted({*others, *displaced, *draft.unused}))
    if draft.left_out is not None:
        return Reading(draft.dialect, keys, (), draft.left_out, unused=unused)
    ordered = ordered_turns(draft.turns)
    return Reading(
        dialect=draft.dialect,
        keys=keys,
        turns=ordered.turns,
        left_out=ordered.left_out,
        notes=tuple(dict.fromkeys((*draft.notes, *ordered.notes))),
        unused=unused,
        dropped=ordered.dropped,
        as_before=draft.as_before,
    )


def _renamed(record: Mapping[str, Any], columns: Columns, where: str) -> _Fields:
    """Return the fields under the names of the dialects, and the dialects that the recipe's columns allow."""
    named = {kind: name for kind in _COLUMNS if (name := getattr(columns, kind)) is not None}
    fields = {str(key): value for key, value in record.items()}
    if not named:
        return _Fields(fields, DIALECTS, ())
    for kind, name in named.items():
        if name not in fields:
            has = ", ".join(sorted(fields))[:300]
            raise InputError(
                f"A record has no column {name!r}.",
                where=where,
                fix=f"correct data.columns.{kind}, or the record; its columns: {has}",
            )
    # A field that has the name of a named column by chance is none of this conversation.
    displaced = tuple(kind for kind in named if kind not in named.values() and is_given(fields.get(kind)))
    kept = {key: value for key, value in fields.items() if key not in (*named.values(), *named)}
    dialects = DIALECTS
    if "messages" in named:
        dialects = (Messages(("messages",), as_before=named["messages"] == "messages"),)
    elif "prompt" in named or "response" in named:
        prompt = "prompt" if "prompt" in named else _first(("prompt", "instruction"), kept)
        answer = "response" if "response" in named else _first(("response", "completion", "output"), kept)
        same = all(kind == name for kind, name in named.items())
        dialects = (Pair("prompt and response", (prompt, answer), as_before=same),)
    return _Fields(kept | {kind: fields[name] for kind, name in named.items()}, dialects, displaced)


def _first(names: Sequence[str], fields: Mapping[str, Any]) -> str:
    """Return the first name with a value, otherwise the first."""
    return next((name for name in names if not is_missing(fields.get(name))), names[0])
