"""Ollama's prompts: what it sends to the model for a conversation or an insertion.

    template = OllamaTemplate("{{ .Prompt }}")
    template.chat([("user", "Hello")])
    template.insert("def f(", "\\n")

Follows ``Execute``, ``collate`` and ``deleteNode`` in Ollama's ``template/template.go`` (August 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starfreight.ollama_template.go_template import (
    FUNCTIONS,
    OLLAMAS,
    Struct,
    TemplateError,
    fields_of,
    parse_template,
    render,
)
from starfreight.ollama_template.go_template.nodes import Action, Branch, Field, Node, Operand, Pipe

Message = tuple[str, str]
"""A role, ``system``, ``user`` or ``assistant``, and a text."""

FIELDS = (
    "System", "Prompt", "Suffix", "Response", "Messages", "Tools", "Think", "ThinkLevel", "IsThinkSet",
    "Query", "Document", "Instruction",
)  # fmt: skip
"""The fields of a template's data."""

_SWITCHES = {"Think": False, "ThinkLevel": "", "IsThinkSet": False}
_OTHER_MESSAGE_FIELDS = {"Thinking": "", "Images": (), "ToolCalls": (), "ToolName": "", "ToolCallID": ""}


class OllamaTemplate:
    """A parsed TEMPLATE.

    Raises:
        TemplateError: Ollama would refuse it.
    """

    def __init__(self, text: str) -> None:
        parsed = parse_template(text, frozenset(FUNCTIONS))
        self._defined = parsed.defined
        self._nodes = parsed.nodes
        every = fields_of(parsed.nodes)
        for nodes in parsed.defined.values():
            every += fields_of(nodes)
        self.fields = tuple(every)
        """The names in it, with their lines."""
        names = {name.lower() for name, _ in every}
        if not names & {"messages", "response"}:
            self._nodes = (*self._nodes, Action(Pipe(((Field(("Response",)),),))))
        self._whole = bool(names & {"messages", "document"})
        self.inserts = "suffix" in names
        """True if the model can fill in: Ollama's capability ``insert``."""

    def chat(self, messages: Sequence[Message]) -> str:
        """The prompt of ``/api/chat``.

        Raises:
            TemplateError: rendering it fails.
        """
        joined = _collated(messages)
        if self._whole:
            return self._render(
                {
                    "System": "\n\n".join(text for role, text in messages if role == "system"),
                    "Messages": [
                        Struct(Role=role, Content=text, **_OTHER_MESSAGE_FIELDS) for role, text in joined
                    ],
                    "Tools": [],
                    "Response": "",
                    "Query": "",
                    "Document": "",
                    "Instruction": "",
                    **_SWITCHES,
                }
            )
        empty = {"System": "", "Prompt": "", "Response": ""}
        values = dict(empty)
        text = ""
        for role, content in joined:
            answered = values["Response"] != ""
            if (role == "system" and (values["Prompt"] or answered)) or (role == "user" and answered):
                text += self._render(values | _SWITCHES)
                values = dict(empty)
            values[{"system": "System", "user": "Prompt", "assistant": "Response"}[role]] = content
        cut, _ = _up_to_response(self._nodes, False)
        # A new template without the functions and templates of the first one.
        plain = {name: function for name, function in FUNCTIONS.items() if name not in OLLAMAS}
        return text + render(cut, values | _SWITCHES, {}, plain)

    def insert(self, prompt: str, suffix: str) -> str:
        """The prompt of ``/api/generate`` with a suffix.

        Raises:
            TemplateError: rendering it fails.
        """
        if not prompt or not suffix:
            return self.chat([("user", prompt)])
        return self._render({"Prompt": prompt, "Suffix": suffix, "Response": "", **_SWITCHES})

    def _render(self, values: dict[str, Any]) -> str:
        return render(self._nodes, values, self._defined)


def _collated(messages: Sequence[Message]) -> list[Message]:
    """Consecutive messages of one role joined."""
    joined: list[Message] = []
    for role, content in messages:
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n\n{content}")
        else:
            joined.append((role, content))
    return joined


def _up_to_response(nodes: Sequence[Node], cut: bool) -> tuple[tuple[Node, ...], bool]:
    """The nodes without those after ``.Response``, in the order of the text; and whether it has occurred."""
    kept: list[Node] = []
    for node in nodes:
        if cut:
            break
        if isinstance(node, Branch):
            then, cut = _up_to_response(node.then, cut)
            otherwise = node.otherwise
            if otherwise is not None:
                if cut:
                    raise TemplateError("Ollama fails at an else that comes after .Response in its if")
                otherwise, cut = _up_to_response(otherwise, cut)
            kept.append(replace(node, then=then, otherwise=otherwise))
        elif isinstance(node, Action):
            pipe, cut = _pipe_up_to_response(node.pipe, cut)
            kept.append(Action(pipe))
        else:
            kept.append(node)
    return tuple(kept), cut


def _pipe_up_to_response(pipe: Pipe, cut: bool) -> tuple[Pipe, bool]:
    commands = []
    for command in pipe.commands:
        operands: list[Operand] = []
        for operand in command:
            if cut:
                break
            if isinstance(operand, Pipe):
                operand, cut = _pipe_up_to_response(operand, cut)
            elif isinstance(operand, Field) and "Response" in operand.names:
                cut = True
            operands.append(operand)
        if operands:
            commands.append(tuple(operands))
    return replace(pipe, commands=tuple(commands)), cut
