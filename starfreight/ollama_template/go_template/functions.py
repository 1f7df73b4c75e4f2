"""The functions of Go's templates and Ollama's ``json``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from starfreight.ollama_template.go_template.nodes import TemplateError, UnsupportedTemplate

NO_VALUE = "<no value>"
"""Printed for a field that does not exist."""

_MOST_DIGITS = 400
_VERB = re.compile(r"%([-+# 0]*)([0-9]{0,4})(?:\.([0-9]{0,4}))?([a-zA-Z%])")


def truth(value: Any) -> bool:
    """True unless a value is empty or zero."""
    return bool(value)


def printed(value: Any) -> str:
    """A value as text, as Go's ``fmt.Print`` writes it."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else f"{value:g}"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(printed(each) for each in value) + "]"
    if isinstance(value, Mapping):
        raise UnsupportedTemplate("printing a value with fields")
    return str(value)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # As Go does for the sake of HTML.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("eq has one argument")
    return any(_same(first, other) for other in others)


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is None and other is None
    for kind in (bool, str):
        if isinstance(one, kind) != isinstance(other, kind):
            raise TemplateError("a comparison of values of different types")
    if isinstance(one, (list, tuple, Mapping)) or isinstance(other, (list, tuple, Mapping)):
        raise TemplateError("a comparison of lists")
    return bool(one == other)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(one: Any, other: Any) -> bool:
        both_text = isinstance(one, str) and isinstance(other, str)
        both_numbers = all(type(each) in (int, float) for each in (one, other))
        if not both_text and not both_numbers:
            raise TemplateError("a comparison of values of different types")
        return compare(one, other)

    return ordered


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if not isinstance(value, (list, tuple, Mapping)):
        raise TemplateError("len of something without a length")
    return len(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, (list, tuple)) and type(key) is int and 0 <= key < len(value):
            value = value[key]
        elif isinstance(value, str) and type(key) is int and 0 <= key < len(value.encode()):
            value = value.encode()[key]
        else:
            raise TemplateError("an index out of range")
    return value


def _slice(value: Any, *ends: Any) -> Any:
    data = value.encode() if isinstance(value, str) else value
    if not isinstance(data, (list, tuple, bytes)) or len(ends) > 2:
        raise TemplateError("slice of something that is not a list")
    start = ends[0] if ends else 0
    end = ends[1] if len(ends) > 1 else len(data)
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(data):
        raise TemplateError("a slice out of range")
    part = data[start:end]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _print(*values: Any) -> str:
    text, last_text = "", True
    for value in values:
        is_text = isinstance(value, str)
        text += (" " if not is_text and not last_text else "") + printed(value)
        last_text = is_text
    return text


def _println(*values: Any) -> str:
    return " ".join(printed(value) for value in values) + "\n"


def _printf(pattern: Any, *values: Any) -> str:
    if not isinstance(pattern, str):
        raise TemplateError("printf without a pattern")
    left = list(values)

    def replace(found: re.Match[str]) -> str:
        flags, width, precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        value = left.pop(0)
        if verb == "v" or (verb == "s" and isinstance(value, str)):
            text = printed(value)
            text = text[: int(precision)] if precision and verb == "s" else text
        elif verb == "d" and type(value) is int:
            text = f"+{value}" if "+" in flags and value >= 0 else str(value)
        elif verb == "f" and type(value) is float:
            text = f"{value:.{min(int(precision or 6), _MOST_DIGITS)}f}"
        elif verb == "q" and isinstance(value, str):
            text = json.dumps(value, ensure_ascii=False)
        elif verb == "t" and isinstance(value, bool):
            text = printed(value)
        else:
            raise UnsupportedTemplate(f"the verb %{verb}")
        size = int(width or 0)
        if "-" in flags:
            return text.ljust(size)
        return text.zfill(size) if "0" in flags and verb in "df" else text.rjust(size)

    text = _VERB.sub(replace, pattern)
    if left:
        raise TemplateError("printf has more arguments than its pattern")
    return text


FUNCTIONS: Mapping[str, Callable[..., Any] | None] = {
    "and": None,  # These two are evaluated argument by argument.
    "or": None,
    "not": lambda value: not truth(value),
    "eq": _eq,
    "ne": lambda one, other: not _same(one, other),
    "lt": _ordered(lambda one, other: bool(one < other)),
    "le": _ordered(lambda one, other: bool(one <= other)),
    "gt": _ordered(lambda one, other: bool(one > other)),
    "ge": _ordered(lambda one, other: bool(one >= other)),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "println": _println,
    "printf": _printf,
    "json": _json,
    **dict.fromkeys(("call", "html", "js", "urlquery")),
    # Of some versions of Ollama.
    **dict.fromkeys(("currentDate", "yesterdayDate", "toTypeScriptType")),
}
"""By name; ``None`` for functions that Go or Ollama knows and that are not known here."""

OLLAMAS = ("json", "currentDate", "yesterdayDate", "toTypeScriptType")
"""Functions that Ollama adds to Go's."""
