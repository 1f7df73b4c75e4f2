"""Conversations as lists of messages: OpenAI's ``messages``, and ShareGPT's ``conversations``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.data.dialects.interface import Draft, Role, Turn
from starfreight.jobs.data.dialects.values import optional_text, text_of, type_of
from starfreight.jobs.data.rows.values import is_missing

_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
    "model": "assistant", "bard": "assistant", "bing": "assistant",
}  # fmt: skip
_TOOL_ROLES = frozenset(
    ("tool", "function", "tool_call", "function_call", "tool_response", "observation", "ipython")
)
_TOOL_KEYS = ("tool_calls", "function_call")
_DECLARED = ("tools", "functions")
_SYSTEMS = ("system", "system_prompt")
_AUTHORS = ("role", "from")
_TEXTS = ("content", "value", "text")
_SWITCHES = ("weight", "loss", "train", "training", "trainable", "learn")
"""Keys of a message that say whether its answer is learned, in the fine-tuning formats of several tools."""
_MASKS = ("mask", "masked", "loss_mask")

OPENAI, SHAREGPT = "OpenAI messages", "ShareGPT"
HAS_TOOLS, HAS_CALLS, HAS_RESULTS = "has tools", "has tool calls", "has tool messages"


@dataclass(frozen=True)
class Messages:
    """A list of messages under one key, with the names of OpenAI or of ShareGPT."""

    keys: tuple[str]
    as_before: bool = False

    @property
    def name(self) -> str:
        """The name of a record without messages."""
        return OPENAI if self.keys == ("messages",) else SHAREGPT

    def read(self, fields: Mapping[str, Any], where: str) -> Draft:
        """Read the messages, in order."""
        key = self.keys[0]
        draft = draft_of(fields[key], key, where)
        system = system_of(fields, where)
        turns = draft.turns
        if system.strip() and not any(turn == Turn("system", system) for turn in turns[:1]):
            if any(turn.role == "system" and turn.text.strip() for turn in turns[:1]):
                raise InputError(
                    f"A record has different texts in system and in {key}[0].",
                    where=where,
                    fix="keep one of them",
                )
            turns = (Turn("system", system), *turns)
        return dataclasses.replace(
            draft,
            turns=turns,
            used=draft.used.union(name for name in (*_SYSTEMS, *_DECLARED) if name in fields),
            left_out=has_tools(fields) or draft.left_out,
            as_before=self.as_before and draft.dialect == OPENAI and not system.strip(),
        )


def system_of(fields: Mapping[str, Any], where: str) -> str:
    """Return the system message beside a conversation; empty without one.

    Raises:
        InputError: there are two different ones.
    """
    texts = {optional_text(fields, name, where) for name in _SYSTEMS} - {""}
    if len(texts) > 1:
        raise InputError(
            "A record has different texts in system and system_prompt.", where=where, fix="keep one of them"
        )
    return texts.pop() if texts else ""


def has_tools(fields: Mapping[str, Any]) -> str | None:
    """Return the reason to leave out a record that declares tools; ``None`` for any other."""
    return HAS_TOOLS if any(is_given(fields.get(name)) for name in _DECLARED) else None


def draft_of(listed: Any, key: str, where: str, *, learn: bool = True) -> Draft:
    """Read a list of messages.

    Args:
        listed: the messages.
        key: of the list in the record.
        where: the record, for errors.
        learn: false if its answers are context only.

    Raises:
        InputError: it is not such a list, or a message has an invalid value or an unknown role.
    """
    if not isinstance(listed, list | tuple):
        raise _invalid(key, listed, where)
    names = _names(listed, key, where)
    left_out: str | None = None
    turns: list[Turn] = []
    used = {key}
    unused: dict[str, None] = {}
    notes: dict[str, None] = {}
    for number, message in enumerate(listed):
        place = f"{where}, {key}[{number}]"
        if not isinstance(message, Mapping):
            raise _invalid(f"{key}[{number}]", message, where)
        given = {str(name): value for name, value in message.items() if is_given(value)}
        if any(name in given for name in _TOOL_KEYS):
            left_out = left_out or HAS_CALLS
        author, of_text = _names_in(message, names)
        role = _role(message, author, place)
        if role is None:
            left_out = left_out or HAS_RESULTS
            continue
        text, other = _content(message.get(of_text), f"{key}[{number}].{of_text}", where)
        left_out = left_out or other
        learned = _learned(given, place)
        if learned is not None and role == "assistant":
            learned or notes.setdefault("with an answer of weight 0 (not learned)")
        switches = _SWITCHES if role == "assistant" else ()
        used.update(f"{key}[].{name}" for name in switches if name in given)
        known = {author, of_text, *_TOOL_KEYS, *switches}
        unused.update(dict.fromkeys(f"{key}[].{name}" for name in given if name not in known))
        turns.append(Turn(role, text, learn and learned is not False if role == "assistant" else True))
    dialect = OPENAI if names[0] == "role" else SHAREGPT
    return Draft(dialect, tuple(turns), frozenset(used), tuple(unused), left_out, tuple(notes))


def _names(messages: Sequence[Any], key: str, where: str) -> tuple[str, str]:
    """Return the keys of the messages for their author and for their text.

    Raises:
        InputError: no message has a key for its text.
    """
    found = {str(name) for message in messages if isinstance(message, Mapping) for name in message}
    role = next((name for name in _AUTHORS if name in found), _AUTHORS[0])
    if role in found and not found.intersection((*_TEXTS, *_TOOL_KEYS)):
        raise InputError(
            f"The messages have no key {_texts_of(role)[0]!r}.",
            where=f"{where}, {key}",
            fix=f"correct the record; the keys of the messages: {', '.join(sorted(found))[:200]}",
        )
    return role, next((name for name in _texts_of(role) if name in found), _texts_of(role)[0])


def _names_in(message: Mapping[str, Any], names: tuple[str, str]) -> tuple[str, str]:
    """Return the keys of one message, which may be those of another tool than the keys of the list."""
    author = next((name for name in (names[0], *_AUTHORS) if name in message), names[0])
    texts = (names[1], *_texts_of(author))
    return author, next((name for name in texts if not is_missing(message.get(name))), names[1])


def _texts_of(author: str) -> Sequence[str]:
    return _TEXTS if author == _AUTHORS[0] else (_TEXTS[1], _TEXTS[0], *_TEXTS[2:])


def is_given(value: Any) -> bool:
    """Return false for null, NaN and an empty text, list or object, also one written as JSON."""
    return not is_missing(value) and not (
        isinstance(value, str | list | tuple | Mapping)
        and (len(value) == 0 or (isinstance(value, str) and value.strip() in ("", "[]", "{}", "null")))
    )


def _role(message: Mapping[str, Any], author: str, place: str) -> Role | None:
    """Return the role of a message; ``None`` for a tool's."""
    found = message.get(author)
    role = found.strip().lower() if isinstance(found, str) else None
    if role in _TOOL_ROLES:
        return None
    if role not in _ROLES:
        if author not in message:
            has = ", ".join(sorted(map(str, message)))[:200]
            what, fix = (
                f"A message has no key {author!r}.",
                f"correct the record; the keys of the message: {has}",
            )
        else:
            what = f"A message has the unknown role {str(found)[:60]!r}."
            fix = f"use one of {', '.join(sorted(_ROLES))}"
        raise InputError(what, where=place, fix=fix)
    return _ROLES[role]


def _content(content: Any, key: str, where: str) -> tuple[str, str | None]:
    """Return the text of a message, and a reason to leave its record out.

    The content is a text, or a list of parts as in OpenAI's chat API, of which those of type ``text`` count.
    """
    if is_missing(content):
        return "", None
    if not isinstance(content, list | tuple):
        return text_of(content, key, where), None
    texts = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(kind, str):
            raise _invalid(f"{key}[{number}]", part, where)
        if kind != "text":
            return "", f"has a part of type {kind[:40]}"
        text = part.get("text")
        texts.append("" if is_missing(text) else text_of(text, f"{key}[{number}].text", where))
    return "".join(texts), None


def _learned(message: Mapping[str, Any], place: str) -> bool | None:
    """Return the value of a key for learning an answer; ``None`` without one."""
    for name in _MASKS:
        if message.get(name):
            raise InputError(
                f"A message has the key {name!r}, whose meaning differs between tools.",
                where=place,
                fix="write weight: 0 for an answer to leave out of the loss, and remove the key",
            )
    found = {name: message[name] for name in _SWITCHES if name in message}
    for name, value in found.items():
        if isinstance(value, str) or value not in (0, 1):
            raise InputError(
                f"A message has the {name} {str(value)[:40]!r}; an answer is learned or not.",
                where=place,
                fix="write 0 or 1",
            )
    if len({bool(value) for value in found.values()}) > 1:
        raise InputError(
            f"A message has different values of {' and '.join(found)}.",
            where=place,
            fix="keep one of the keys",
        )
    return bool(next(iter(found.values()))) if found else None


def _invalid(key: str, value: Any, where: str) -> InputError:
    kind = type_of(value)
    return InputError(
        f"The value of {key!r} is of type {kind}, not a list of messages."
        if not key.endswith("]")
        else f"{key!r} is of type {kind}, not an object.",
        where=where,
        fix='write messages as [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]',
    )
