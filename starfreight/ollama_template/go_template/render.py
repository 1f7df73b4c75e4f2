"""Render a parsed template with data, within bounds on time and length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starfreight.ollama_template.go_template.functions import FUNCTIONS, printed, truth
from starfreight.ollama_template.go_template.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Constant,
    Dot,
    Field,
    Function,
    Leave,
    Node,
    Operand,
    Pipe,
    TemplateError,
    Text,
    UnsupportedTemplate,
    Variable,
)

_MOST_STEPS = 200_000
_LONGEST = 8 << 20
_DEEPEST_CALLS = 40


class Struct(dict[str, Any]):
    """A value with fixed fields: Go refuses others, where a map has ``<no value>`` for them."""


class _Leaving(Exception):
    """A ``break`` or ``continue`` on its way to its range."""


def render(
    nodes: Sequence[Node],
    data: Mapping[str, Any],
    defined: Mapping[str, Sequence[Node]] | None = None,
    functions: Mapping[str, Any] = FUNCTIONS,
) -> str:
    """The text of a template.

    Args:
        nodes: the parsed template.
        data: its fields: texts, numbers, booleans, lists, :class:`Struct`.
        defined: the templates that it defines.
        functions: by name; ``None`` for one that is not known here.

    Raises:
        TemplateError: Go would stop with an error, or the text is out of bounds.
        UnsupportedTemplate: it calls a function that is not known here.
    """
    rendering = _Rendering(defined or {}, functions)
    rendering.run(nodes, data, [("$", data)])
    return "".join(rendering.texts)


class _Rendering:
    """The text so far, and the bounds."""

    def __init__(self, defined: Mapping[str, Sequence[Node]], functions: Mapping[str, Any]) -> None:
        self.texts: list[str] = []
        self._defined = defined
        self._functions = functions
        self._steps = 0
        self._length = 0
        self._calls = 0

    def run(self, nodes: Sequence[Node], dot: Any, scope: list[tuple[str, Any]]) -> None:
        for node in nodes:
            self._step()
            if isinstance(node, Text):
                self._write(node.text)
            elif isinstance(node, Action):
                value = self._pipe(node.pipe, dot, scope)
                if not node.pipe.declared:
                    self._write(printed(value))
            elif isinstance(node, Branch):
                self._branch(node, dot, scope)
            elif isinstance(node, Leave):
                raise _Leaving(node.kind)
            else:
                self._call(node, dot, scope)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise TemplateError("it takes too many steps")

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > _LONGEST:
            raise TemplateError("its text is too long")
        self.texts.append(text)

    def _branch(self, node: Branch, dot: Any, scope: list[tuple[str, Any]]) -> None:
        size = len(scope)
        value = self._pipe(node.pipe, dot, scope, declare=node.kind != "range")
        if node.kind == "range":
            self._range(node, value, dot, scope)
        elif truth(value):
            self.run(node.then, value if node.kind == "with" else dot, scope)
        else:
            self.run(node.otherwise or (), dot, scope)
        del scope[size:]

    def _range(self, node: Branch, value: Any, dot: Any, scope: list[tuple[str, Any]]) -> None:
        size = len(scope)
        items = _items(value)
        if not items:
            self.run(node.otherwise or (), dot, scope)
        for key, item in items:
            self._step()
            names = node.pipe.declared
            given = (item,) if len(names) == 1 else (key, item)
            if node.pipe.assigns:
                for name, each in zip(names, given, strict=False):
                    _assign(scope, name, each)
            else:
                scope += zip(names, given, strict=False)
            try:
                self.run(node.then, item, scope)
            except _Leaving as leaving:
                if str(leaving) == "break":
                    break
            finally:
                del scope[size:]

    def _call(self, node: Call, dot: Any, scope: list[tuple[str, Any]]) -> None:
        if node.name not in self._defined:
            raise TemplateError(f"the template {node.name[:80]!r} is not defined")
        value = self._pipe(node.pipe, dot, scope) if node.pipe is not None else None
        self._calls += 1
        if self._calls > _DEEPEST_CALLS:
            raise TemplateError("its templates call each other without end")
        self.run(self._defined[node.name], value, [("$", value)])
        self._calls -= 1

    def _pipe(self, pipe: Pipe, dot: Any, scope: list[tuple[str, Any]], *, declare: bool = True) -> Any:
        piped: tuple[Any, ...] = ()
        for command in pipe.commands:
            self._step()
            piped = (self._command(command, piped, dot, scope),)
        value = piped[0]
        if declare and pipe.declared:
            if pipe.assigns:
                _assign(scope, pipe.declared[0], value)
            else:
                scope.append((pipe.declared[0], value))
        return value

    def _command(
        self, command: tuple[Operand, ...], piped: tuple[Any, ...], dot: Any, scope: list[tuple[str, Any]]
    ) -> Any:
        first, rest = command[0], command[1:]
        if not isinstance(first, Function):
            if rest or piped:
                raise TemplateError(f"{_shown(first)} is given arguments, but is not a function")
            return self._value(first, dot, scope)
        if first.name in ("and", "or"):
            value: Any = None
            # Only as many arguments are evaluated as decide it.
            for operand in rest:
                value = self._value(operand, dot, scope)
                if truth(value) == (first.name == "or"):
                    return value
            return piped[0] if piped else value
        return self._called(first.name, [*(self._value(each, dot, scope) for each in rest), *piped])

    def _called(self, name: str, arguments: list[Any]) -> Any:
        if name not in self._functions:
            raise TemplateError(f"the function {name!r} is not defined where Ollama renders the last turn")
        function = self._functions[name]
        if function is None:
            raise UnsupportedTemplate(f"the function {name!r}")
        try:
            value = function(*arguments)
        except TypeError as error:
            raise TemplateError(f"the arguments of {name}") from error
        if isinstance(value, str) and len(value) > _LONGEST:
            raise TemplateError("a text in it is too long")
        return value

    def _value(self, operand: Operand, dot: Any, scope: list[tuple[str, Any]]) -> Any:
        if isinstance(operand, Constant):
            return operand.value
        if isinstance(operand, Dot):
            return dot
        if isinstance(operand, Field):
            return _field(dot, operand.names)
        if isinstance(operand, Variable):
            found = next(value for name, value in reversed(scope) if name == operand.name)
            return _field(found, operand.names)
        if isinstance(operand, Chain):
            return _field(self._pipe(operand.pipe, dot, scope), operand.names)
        if isinstance(operand, Function):
            return self._command((operand,), (), dot, scope)
        return self._pipe(operand, dot, scope)


def _field(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        if isinstance(value, Struct):
            if name not in value:
                raise TemplateError(f"there is no field .{name} here")
            value = value[name]
        elif isinstance(value, Mapping):
            value = value.get(name)
        elif value is None:
            raise TemplateError(f"a field .{name} of nothing")
        else:
            raise TemplateError(f"a field .{name} of a {type(value).__name__}")
    return value


def _items(value: Any) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if isinstance(value, bool) or not isinstance(value, (int, Mapping, list, tuple)):
        raise TemplateError("a range over something that is not a list")
    if isinstance(value, int):
        return [(number, number) for number in range(min(value, _MOST_STEPS + 1))]
    if isinstance(value, Mapping):
        return sorted(value.items())
    return list(enumerate(value))


def _assign(scope: list[tuple[str, Any]], name: str, value: Any) -> None:
    place = max(number for number, (known, _) in enumerate(scope) if known == name)
    scope[place] = (name, value)


def _shown(operand: Operand) -> str:
    if isinstance(operand, Field):
        return "." + ".".join(operand.names)
    return operand.name if isinstance(operand, Variable) else "a value"
