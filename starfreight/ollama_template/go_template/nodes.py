"""The parts of a parsed template."""

from __future__ import annotations

from dataclasses import dataclass

Literal = str | int | float | bool | None


class TemplateError(ValueError):
    """A template that Go would refuse, or that fails while it is rendered."""


class UnsupportedTemplate(TemplateError):
    """A template that Go may accept, with parts that are not known here."""


@dataclass(frozen=True)
class Constant:
    """A literal in an action."""

    value: Literal


@dataclass(frozen=True)
class Dot:
    """``.``"""


@dataclass(frozen=True)
class Field:
    """``.A.B``"""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Variable:
    """``$x.A.B``; ``$`` is the data."""

    name: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True)
class Chain:
    """``(pipe).A.B``"""

    pipe: Pipe
    names: tuple[str, ...]


@dataclass(frozen=True)
class Pipe:
    """Commands joined by ``|``, and the variables that take the result."""

    commands: tuple[tuple[Operand, ...], ...]
    declared: tuple[str, ...] = ()
    assigns: bool = False
    line: int = 0


Operand = Constant | Dot | Field | Variable | Function | Chain | Pipe


@dataclass(frozen=True)
class Text:
    """Text outside of actions."""

    text: str


@dataclass(frozen=True)
class Action:
    """``{{ pipe }}``"""

    pipe: Pipe


@dataclass(frozen=True)
class Branch:
    """``if``, ``with`` and ``range``, with ``else``: ``None`` without one."""

    kind: str
    pipe: Pipe
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...] | None


@dataclass(frozen=True)
class Leave:
    """``break`` or ``continue``."""

    kind: str


@dataclass(frozen=True)
class Call:
    """``{{ template "name" pipe }}``"""

    name: str
    pipe: Pipe | None


Node = Text | Action | Branch | Leave | Call


def fields_of(nodes: tuple[Node, ...]) -> list[tuple[str, int]]:
    """The first names of the fields of the data, ``.A`` and ``$.A``, with their lines, and all other names.

    As Ollama's ``Identifiers``, which does not tell them apart.

    Raises:
        TemplateError: a ``template`` has no value, which Ollama refuses.
    """
    found: list[tuple[str, int]] = []
    for node in nodes:
        if isinstance(node, Action):
            found += _in_pipe(node.pipe)
        elif isinstance(node, Branch):
            found += _in_pipe(node.pipe)
            found += fields_of(node.then) + fields_of(node.otherwise or ())
        elif isinstance(node, Call):
            if node.pipe is None:
                raise TemplateError(f"Ollama refuses {{{{ template {node.name[:80]!r} }}}} without a value")
            found += _in_pipe(node.pipe)
    return found


def _in_pipe(pipe: Pipe) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for command in pipe.commands:
        for operand in command:
            if isinstance(operand, (Field, Variable)):
                found += [(name, pipe.line) for name in operand.names]
            elif isinstance(operand, Pipe):
                found += _in_pipe(operand)
    return found
