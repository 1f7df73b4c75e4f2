"""Values of a row that JSON does not have, and the size of a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

MAX_RECORD_BYTES = 16 << 20
"""Size of one record in the format of its file."""


@dataclass(frozen=True)
class OtherValue:
    """A value of a row that JSON does not have: a date, a decimal number.

    Attributes:
        text: as JSON has it; ``None`` if the value has no text.
        kind: the name of its type, if it has no text.
    """

    text: str | None
    kind: str


def is_missing(value: Any) -> bool:
    """Return true for null, and for NaN, which pandas writes in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))
