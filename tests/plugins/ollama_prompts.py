"""Ollama's rendering of a conversation by a model's TEMPLATE, without Ollama.

    OllamaTemplate("{{ .Prompt }}").chat([("user", "Hello")])

Follows ``Execute``, ``collate`` and ``deleteNode`` in Ollama's ``template/template.go`` (August 2026) for
templates without ``.Messages``, and Go's ``text/template`` for text, fields, ``if``, ``else`` and ``end``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Message = tuple[str, str]
"""A role, ``system``, ``user`` or ``assistant``, and a text."""

_SPACE = " \t\r\n"


@dataclass(frozen=True)
class _Field:
    name: str


@dataclass(frozen=True)
class _If:
    name: str
    then: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]


_Node = str | _Field | _If


class OllamaTemplate:
    """A parsed TEMPLATE.

    Raises:
        ValueError: the template uses more of Go's language than is known here.
    """

    def __init__(self, text: str) -> None:
        tokens = list(_tokens(text))
        nodes, rest = _parse(tokens)
        if rest:
            raise ValueError(f"an action without an if: {rest[0]}")
        if ".Response" not in text:
            nodes = (*nodes, _Field("Response"))
        self._nodes = nodes

    def chat(self, messages: Sequence[Message]) -> str:
        """The prompt of ``/api/chat``."""
        values = {"System": "", "Prompt": "", "Response": ""}
        empty = dict(values)
        text = ""
        for role, content in _collated(messages):
            answered = values["Response"] != ""
            if (role == "system" and (values["Prompt"] or answered)) or (role == "user" and answered):
                text += _render(self._nodes, values)
                values = dict(empty)
            values[{"system": "System", "user": "Prompt", "assistant": "Response"}[role]] = content
        cut, _ = _up_to_response(self._nodes, False)
        return text + _render(cut, values)

    def insert(self, prompt: str, suffix: str) -> str:
        """The prompt of ``/api/generate`` with a suffix."""
        return _render(self._nodes, {"Prompt": prompt, "Suffix": suffix, "Response": ""})


def _collated(messages: Sequence[Message]) -> list[Message]:
    """Consecutive messages of one role joined."""
    joined: list[Message] = []
    for role, content in messages:
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n\n{content}")
        else:
            joined.append((role, content))
    return joined


def _tokens(text: str) -> list[tuple[str, str]]:
    """Texts and actions; ``{{-`` and ``-}}`` trim the texts beside them."""
    tokens: list[tuple[str, str]] = []
    trim = False
    for number, piece in enumerate(re.split(r"(\{\{.*?\}\})", text, flags=re.DOTALL)):
        if number % 2 == 0:
            tokens.append(("text", piece.lstrip(_SPACE) if trim else piece))
            continue
        if piece.startswith("{{- "):
            tokens[-1] = ("text", tokens[-1][1].rstrip(_SPACE))
        trim = piece.endswith(" -}}")
        tokens.append(("action", piece[2:-2].removeprefix("- ").removesuffix(" -").strip()))
    return tokens


def _parse(tokens: list[tuple[str, str]]) -> tuple[tuple[_Node, ...], list[tuple[str, str]]]:
    """Nodes up to an ``else`` or an ``end``, and the tokens from there on."""
    nodes: list[_Node] = []
    while tokens:
        kind, value = tokens[0]
        if kind == "action" and value in ("else", "end"):
            break
        tokens = tokens[1:]
        if kind == "text":
            nodes += [value] if value else []
        elif re.fullmatch(r"\.[A-Z][A-Za-z]*", value):
            nodes.append(_Field(value[1:]))
        elif re.fullmatch(r"if \.[A-Z][A-Za-z]*", value):
            then, tokens = _parse(tokens)
            otherwise: tuple[_Node, ...] = ()
            if tokens and tokens[0] == ("action", "else"):
                otherwise, tokens = _parse(tokens[1:])
            if not tokens or tokens[0] != ("action", "end"):
                raise ValueError("an if without an end")
            nodes.append(_If(value[4:], then, otherwise))
            tokens = tokens[1:]
        else:
            raise ValueError(f"an unknown action: {value}")
    return tuple(nodes), tokens


def _render(nodes: Sequence[_Node], values: Mapping[str, str]) -> str:
    text = ""
    for node in nodes:
        if isinstance(node, _If):
            text += _render(node.then if values.get(node.name) else node.otherwise, values)
        else:
            text += values.get(node.name, "") if isinstance(node, _Field) else node
    return text


def _up_to_response(nodes: Sequence[_Node], cut: bool) -> tuple[tuple[_Node, ...], bool]:
    """The nodes without those after ``.Response``, in the order of the text; and whether it has occurred."""
    kept: list[_Node] = []
    for node in nodes:
        if cut:
            break
        if isinstance(node, _If):
            then, cut = _up_to_response(node.then, cut)
            otherwise, cut = ((), cut) if cut else _up_to_response(node.otherwise, cut)
            kept.append(_If(node.name, then, otherwise))
        else:
            kept.append(node)
            cut = node == _Field("Response")
    return tuple(kept), cut
