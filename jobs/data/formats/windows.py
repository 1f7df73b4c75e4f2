"""Windows: pieces of long texts, made of whole lines."""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator
from dataclasses import dataclass

from starfreight.errors import InputError
from starfreight.jobs.data.encoder import EncodedText, Encoder
from starfreight.jobs.data.fim import Cut
from starfreight.jobs.data.sources.interface import Sample

_FIELDS = ("content", "text", "code")
_TRIPLE = ("prefix", "middle", "suffix")


@dataclass(frozen=True)
class Window:
    """A piece of a text, from ``begin`` to ``end``; ``last`` is true if the text ends with it."""

    whole: EncodedText
    begin: int
    end: int
    last: bool

    @property
    def text(self) -> str:
        """The text of the window."""
        return self.whole.text[self.begin : self.end]

    def encode(self, before: str = "") -> list[int]:
        """Return the token ids of ``before`` and the window."""
        return self.whole.encode(self.begin, self.end, before)

    def encode_cut(self, cut: Cut, before: str = "") -> tuple[list[int], list[int], list[int]]:
        """Return the token ids of the three pieces of a cut of this window, the first after ``before``."""
        first = self.begin + len(cut.prefix)
        last = first + len(cut.middle)
        encode = self.whole.encode
        return encode(self.begin, first, before), encode(first, last), encode(last, self.end)


def file_text(sample: Sample) -> str | None:
    """Return the text of a file, or of a record with the content of one; ``None`` for any other record."""
    if isinstance(sample.content, str):
        return sample.content
    if any(part in sample.content for part in _TRIPLE):
        return None
    for name in _FIELDS:
        value = sample.content.get(name)
        if isinstance(value, str):
            return value
    return None


def required_text(sample: Sample, kind: str) -> str:
    """Return :func:`file_text`, for the format ``kind``, which needs it.

    Raises:
        InputError: the sample is another kind of record.
    """
    text = file_text(sample)
    if text is None:
        raise InputError(
            f"A record of format {kind} lacks the content of a file.",
            where=sample.name,
            fix="add the field content, or set data.format to another format",
        )
    return text


def windows(text: str, encoder: Encoder, room: int, rng: random.Random) -> Iterator[Window]:
    """Divide a text into windows of whole lines, each of about ``room`` tokens at most; longer lines are cut.

    The first window ends at a random position, so that each pass over the data divides the file differently.
    Windows of white space alone are left out.
    """
    whole = encoder.encode_file(text)
    starts = whole.starts
    if len(starts) <= room:
        if text.strip():
            yield Window(whole, 0, len(text), True)
        return
    end_of_code = len(text.rstrip())
    begin, budget = 0, rng.randrange(room // 4, room)
    while begin < end_of_code:
        last = bisect.bisect_left(starts, begin) + budget
        end = len(text)
        if last < len(starts):
            newline = text.rfind("\n", begin, starts[last])
            end = newline + 1 if newline >= 0 else max(starts[last], begin + 1)
        if text[begin:end].strip():
            yield Window(whole, begin, end, end >= end_of_code)
        begin, budget = end, room
