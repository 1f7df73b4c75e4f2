"""Values of a record as text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.data.rows.values import OtherValue

_TYPES = {"dict": "object", "str": "text"}


def text_of(value: Any, key: str, where: str) -> str:
    """Return a value as text.

    Numbers and booleans are written as in JSON (``10``, ``0.5``, ``true``), dates and times as in ISO 8601
    (``2024-01-31T10:00:00``), decimals with all their digits.

    Args:
        value: of the record, neither null nor NaN.
        key: its place in the record, for errors.
        where: the record, for errors.

    Raises:
        InputError: the value is a list, an object, infinite, or of a type without a text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    if isinstance(value, OtherValue) and value.text is not None:
        return value.text
    raise InputError(
        f"The value of {key!r} is of type {type_of(value)}, not text.",
        where=where,
        fix="write it as text, or name another column in data.columns",
    )


def optional_text(fields: Mapping[str, Any], key: str, where: str) -> str:
    """Return a value beside a conversation as text; empty without one, and for an empty list or object.

    Raises:
        InputError: as :func:`text_of`.
    """
    value = fields.get(key)
    if value is None or (isinstance(value, list | tuple | Mapping) and not value):
        return ""
    return text_of(value, key, where)


def type_of(value: Any) -> str:
    """Return the name of a value's type, for errors."""
    if isinstance(value, OtherValue):
        return value.kind or "date or decimal"
    name = type(value).__name__
    return _TYPES.get(name, name)
