"""Errors of the files that users write in YAML: the first wrong key, and the nearest known one."""

from __future__ import annotations

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from starfreight.errors import RecipeError


def explain(error: ValidationError, data: Any, where: str, model: type[BaseModel], kind: str) -> RecipeError:
    """The error for a file that does not fit its model.

    Args:
        error: from the model.
        data: the parsed file.
        where: the file.
        model: of the whole file.
        kind: its name in sentences, such as ``recipe``.
    """
    problems = _without_consequences(error.errors(include_url=False))
    first = problems[0]
    location = first["loc"]
    keys = [_key_path(each["loc"], data, kind, missing=each["type"] == "missing") for each in problems]
    key = keys[0]
    others = len(set(keys)) - 1
    more = f" ({others} more after it)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        return RecipeError(
            f"The {kind} has an unknown key {key!r}{more}.",
            where=where,
            fix=f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known)}",
        )
    # A key of several types has one message for each of them.
    messages = [_in_words(each) for each, at in zip(problems, keys, strict=True) if at == key]
    message = "; or ".join(dict.fromkeys(messages))
    what = "is missing" if first["type"] == "missing" else f"is not valid: {message}"
    return RecipeError(
        f"The key {key!r} {what}{more}.", where=f"{where}, key {key}", fix=f"correct that key in the {kind}"
    )


def _without_consequences(problems: list[ErrorDetails]) -> list[ErrorDetails]:
    """The problems without those of lists called too short, because pydantic does not count invalid items."""
    places = [each["loc"] for each in problems]
    return [
        each
        for each in problems
        if each["type"] != "too_short"
        or not any(place[: len(each["loc"])] == each["loc"] != place for place in places)
    ]


def _in_words(problem: ErrorDetails) -> str:
    """Pydantic's message, with its own terms replaced where they would puzzle the file's author."""
    kind, value = problem["type"], problem["input"]
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"YAML reads {value} as a number: put it in quotes"
    if kind == "too_short":
        least = problem["ctx"]["min_length"]
        return f"needs at least {least} {'entry' if least == 1 else 'entries'}"
    if kind == "string_pattern_mismatch":
        return f"{str(value)[:60]!r} is not of the form {problem['ctx']['pattern']}"
    return problem["msg"].removeprefix("Value error, ")


def _key_path(location: tuple[int | str, ...], data: Any, kind: str, *, missing: bool) -> str:
    """The path of keys to a problem, without the type names that pydantic adds for a union."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            data = data[part] if isinstance(data, list) and part < len(data) else None
        elif isinstance(data, dict) and (part in data or (missing and part == location[-1])):
            path += f".{part}" if path else part
            data = data.get(part)
    return path or f"(the whole {kind})"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            if inner is not None:
                model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None
