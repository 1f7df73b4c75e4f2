"""Expressions of GitHub Actions, ``${{ ... }}``, with the rules of its documentation.

Null equals '' in a template; strings compare without case; an unknown property is null; ``a.*.b`` filters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|'(?P<string>(?:[^']|'')*)'|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<operator>&&|\|\||==|!=|<=|>=|[!<>().,*\[\]]))"
)


class _Filtered(list[Any]):
    """The result of ``*``: properties are taken of each element."""


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _number(value: Any) -> float:
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if type(left) is type(right):
        return bool(left == right)
    return _number(left) == _number(right)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(_equal(each, what) for each in where)
    return _text(what).lower() in _text(where).lower()


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": lambda text, start: _text(text).lower().startswith(_text(start).lower()),
    "endswith": lambda text, end: _text(text).lower().endswith(_text(end).lower()),
    "join": lambda values, separator=",": _text(separator).join(map(_text, values)),
    "tojson": lambda value: json.dumps(value, indent=2),
    "fromjson": json.loads,
    "format": lambda text, *values: re.sub(r"\{(\d+)\}", lambda each: _text(values[int(each[1])]), text),
}


class _Parser:
    """Evaluates while it reads; nothing here has side effects, so both sides of ``&&`` may be read."""

    def __init__(
        self, source: str, context: dict[str, Any], functions: dict[str, Callable[..., Any]]
    ) -> None:
        self.context, self.functions = context, _FUNCTIONS | functions
        self.tokens, at = [], 0
        while at < len(source.rstrip()):
            match = _TOKEN.match(source, at)
            if match is None:
                raise ValueError(f"not an expression at {source[at:]!r}")
            self.tokens.append((match.lastgroup, match[match.lastgroup or 0]))
            at = match.end()

    def peek(self) -> str | None:
        return self.tokens[0][1] if self.tokens and self.tokens[0][0] == "operator" else None

    def take(self, operator: str) -> bool:
        if self.peek() == operator:
            self.tokens.pop(0)
            return True
        return False

    def need(self, operator: str) -> None:
        if not self.take(operator):
            raise ValueError(f"{operator!r} expected before {self.tokens}")

    def disjunction(self) -> Any:
        value = self.conjunction()
        while self.take("||"):
            other = self.conjunction()
            value = value or other
        return value

    def conjunction(self) -> Any:
        value = self.comparison()
        while self.take("&&"):
            other = self.comparison()
            value = other if value else value
        return value

    def comparison(self) -> Any:
        value = self.negation()
        while (operator := self.peek()) in ("==", "!=", "<", ">", "<=", ">="):
            self.take(str(operator))
            other = self.negation()
            if operator in ("==", "!="):
                value = _equal(value, other) == (operator == "==")
            else:
                left, right = _number(value), _number(other)
                value = {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[
                    str(operator)
                ]
        return value

    def negation(self) -> Any:
        return not self.negation() if self.take("!") else self.access()

    def access(self) -> Any:
        value = self.primary()
        while True:
            if self.take("."):
                if self.take("*"):
                    value = _Filtered(value.values() if isinstance(value, dict) else value or [])
                else:
                    value = self.property(value, self.tokens.pop(0)[1])
            elif self.take("["):
                value = self.property(value, self.disjunction())
                self.need("]")
            else:
                return value

    def property(self, value: Any, name: Any) -> Any:
        if isinstance(value, _Filtered):
            found = [self.property(each, name) for each in value]
            return _Filtered(each for each in found if each is not None)
        if isinstance(value, dict):
            return value.get(name)
        return value[int(name)] if isinstance(value, list) and int(name) < len(value) else None

    def primary(self) -> Any:
        if self.take("("):
            value = self.disjunction()
            self.need(")")
            return value
        kind, text = self.tokens.pop(0)
        if kind == "string":
            return text.replace("''", "'")
        if kind == "number":
            return float(text)
        if kind != "name":
            raise ValueError(f"unexpected {text!r}")
        if self.take("("):
            arguments = []
            while not self.take(")"):
                arguments.append(self.disjunction())
                self.take(",")
            return self.functions[text.lower()](*arguments)
        if text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if text not in self.context:
            raise ValueError(f"no context {text!r}")
        return self.context[text]


def evaluate(source: str, context: dict[str, Any], **functions: Callable[..., Any]) -> Any:
    """The value of an expression, without its ``${{ }}``.

    Args:
        source: the expression.
        context: ``inputs``, ``needs``, ``steps`` and so on.
        functions: more functions, such as ``success``.
    """
    parser = _Parser(source, context, dict(functions))
    value = parser.disjunction()
    if parser.tokens:
        raise ValueError(f"unexpected {parser.tokens} in {source!r}")
    return value


def fill(template: Any, context: dict[str, Any], **functions: Callable[..., Any]) -> Any:
    """Fills every ``${{ }}`` in the texts of a value; one that is a whole text keeps its type."""
    if isinstance(template, dict):
        return {key: fill(value, context, **functions) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, context, **functions) for value in template]
    if not isinstance(template, str):
        return template
    whole = re.fullmatch(r"\$\{\{(.*?)\}\}", template.strip(), re.S)
    if whole and "${{" not in whole[1]:
        return evaluate(whole[1], context, **functions)
    return re.sub(
        r"\$\{\{(.*?)\}\}", lambda each: _text(evaluate(each[1], context, **functions)), template, flags=re.S
    )


def as_text(value: Any) -> str:
    """A value as an input or a variable of the environment has it."""
    return _text(value)
