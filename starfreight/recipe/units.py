"""Values with a unit, parsed once when a recipe is read: ``24GB``, ``2h``, ``10%``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_MEMORY = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_DURATION = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_LARGEST = 10**15
"""A petabyte, or thirty million years: surely a typing error, and too many digits to read back."""

_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z%]{1,3})\s*")


def _split(value: Any, units: dict[str, int], example: str) -> float:
    if not isinstance(value, str):
        raise ValueError(f"needs a unit: write it as {example}")
    match = _NUMBER_AND_UNIT.fullmatch(value)
    if match is None or match[2] not in units:
        known = ", ".join(units)
        raise ValueError(f"{value[:40]!r} has no known unit ({known}): write it as {example}")
    return float(match[1]) * units[match[2]]


def _whole(value: Any, units: dict[str, int], example: str) -> int:
    amount = round(_split(value, units, example))
    if not 1 <= amount < _LARGEST:
        raise ValueError(f"{value[:40]!r} is too {'small' if amount < 1 else 'large'}: write it as {example}")
    return amount


def parse_memory(value: Any) -> int:
    """Parses ``"24GB"`` or ``"16GiB"`` to bytes.

    Raises:
        ValueError: not a number with a unit of memory, less than a byte, or a petabyte and more.
    """
    return _whole(value, _MEMORY, "24GB or 16GiB")


def parse_duration(value: Any) -> int:
    """Parses ``"90m"`` or ``"2h"`` to seconds.

    Raises:
        ValueError: not a number with a unit of time, less than a second, or millions of years.
    """
    return _whole(value, _DURATION, "90m or 2h")


def parse_fraction(value: Any) -> float:
    """Parses ``"10%"`` or ``0.1`` to a number from 0 to 1.

    Raises:
        ValueError: neither a percentage nor a number from 0 to 1.
    """
    if isinstance(value, bool):
        raise ValueError("needs a percentage such as 10% or a number from 0 to 1")
    fraction = value if isinstance(value, int | float) else _split(value, {"%": 1}, "10%") / 100
    if not 0 <= fraction <= 1:  # Before the conversion: the largest integers have no float.
        raise ValueError("is outside 0% to 100%")
    return float(fraction)


def _text_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_NUMBER = r"^\s*[0-9]+(\.[0-9]+)?\s*"

Memory = Annotated[
    int,
    BeforeValidator(parse_memory),
    PlainSerializer(lambda value: f"{value}B", return_type=str),
    _text_schema(_NUMBER + f"({'|'.join(_MEMORY)})\\s*$", "24GB"),
]
"""An amount of memory or disk, in bytes."""

Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda value: f"{value}s", return_type=str),
    _text_schema(_NUMBER + f"({'|'.join(_DURATION)})\\s*$", "2h"),
]
"""A duration, in seconds."""

Fraction = Annotated[
    float,
    BeforeValidator(parse_fraction),
    Field(ge=0, le=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": _NUMBER + r"%\s*$"},
            ],
            "examples": ["10%", 0.1],
        }
    ),
]
"""A fraction, from 0 to 1."""
