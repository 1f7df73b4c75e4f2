"""The ``Range`` of a request (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True)
class ByteRange:
    """Bytes from ``start`` up to ``end``, which is not included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.end - self.start


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The requested part of ``size`` bytes; ``None`` for everything.

    Several ranges, other units and malformed ranges count as a request for everything, as RFC 9110 permits.

    Raises:
        ValueError: no byte of the range exists.
    """
    found = _RANGE.fullmatch((header or "").strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise ValueError("an empty range")
        return ByteRange(size - length, size)
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise ValueError("a range after the last byte")
    return ByteRange(start, end)
