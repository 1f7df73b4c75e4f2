"""Values of a row that JSON does not have, and the size of a row."""

from __future__ import annotations

from dataclasses import dataclass

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
