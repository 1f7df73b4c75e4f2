"""Fill-in-the-middle examples, cut from files or given as triples."""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator, Mapping
from typing import Any

from jobs.data.encoder import Encoder
from jobs.data.fim import MARKS, Cut, arrange, cut_characters, cut_line, shorten
from jobs.data.formats.interface import Example, Probe
from jobs.data.sources import Sample
from starfreight.errors import InputError
from starfreight.recipe.models import Data

_TRIPLE = ("prefix", "middle", "suffix")
_FILE_FIELDS = ("content", "text", "code")


class FimFormat:
    """Long files are read in windows of whole lines; each window gives one example a pass."""

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        self._rules = data.fim
        self._encoder = encoder
        self._room = length - MARKS

    def examples(self, sample: Sample, rng: random.Random) -> Iterator[Example]:
        """One example for each window, or one for a triple."""
        if isinstance(sample.content, str):
            for window in self._windows(sample.content, rng):
                yield from self._window_example(window, rng)
            return
        text = _file_text(sample.content)
        if text is not None:
            yield from self.examples(Sample(sample.name, sample.split, text), rng)
            return
        ids = self._arranged(_triple(sample.content, sample.name), spm=rng.random() < self._rules.spm_rate)
        if ids is not None:
            yield Example(ids, list(ids))

    def probes(self, sample: Sample, rng: random.Random) -> Iterator[Probe]:
        """A line of each window, in the order that editors use: prefix, suffix, middle."""
        text = sample.content if isinstance(sample.content, str) else _file_text(sample.content)
        cuts: Iterator[Cut | None]
        if text is None:
            assert not isinstance(sample.content, str)
            cuts = iter([_triple(sample.content, sample.name)])
        else:
            cuts = (cut_line(window, rng) for window in self._windows(text, rng))
        for cut in cuts:
            ids = self._arranged(cut, spm=False) if cut else None
            if ids is not None:
                yield Probe(ids, ids.index(self._encoder.fim.middle) + 1)

    def _window_example(self, window: str, rng: random.Random) -> Iterator[Example]:
        cut = None
        if rng.random() < self._rules.rate:
            by_line = rng.random() < self._rules.line_rate
            cut = cut_line(window, rng) if by_line else cut_characters(window, rng)
        if cut is None:
            ids = [*self._encoder.encode(window)[: self._room], self._encoder.fim.end_of_text]
            yield Example(ids, list(ids))
            return
        arranged = self._arranged(cut, spm=rng.random() < self._rules.spm_rate)
        if arranged is not None:
            yield Example(arranged, list(arranged))

    def _arranged(self, cut: Cut, *, spm: bool) -> list[int] | None:
        middle = self._encoder.encode(cut.middle)
        prefix, suffix = self._encoder.encode(cut.prefix), self._encoder.encode(cut.suffix)
        kept = shorten(prefix, middle, suffix, self._room)
        if kept is None or not middle:
            return None
        return arrange(kept[0], middle, kept[1], self._encoder.fim, spm=spm)

    def _windows(self, text: str, rng: random.Random) -> Iterator[str]:
        """Pieces of whole lines, each of at most about the room's tokens.

        The first one ends at a place drawn from the room, so that each pass cuts the file elsewhere.
        """
        starts = self._encoder.token_starts(text)
        if len(starts) <= self._room:
            yield text
            return
        begin, budget = 0, rng.randrange(self._room // 4, self._room)
        while begin < len(text):
            last = bisect.bisect_left(starts, begin) + budget
            end = len(text)
            if last < len(starts):
                newline = text.rfind("\n", begin, starts[last])
                end = newline + 1 if newline >= 0 else max(starts[last], begin + 1)
            if text[begin:end].strip():
                yield text[begin:end]
            begin, budget = end, self._room


def _file_text(record: Mapping[str, Any]) -> str | None:
    for name in _FILE_FIELDS:
        value = record.get(name)
        if isinstance(value, str) and not any(part in record for part in _TRIPLE):
            return value
    return None


def _triple(record: Mapping[str, Any], name: str) -> Cut:
    parts = [record.get(part) for part in _TRIPLE]
    if not all(isinstance(part, str) for part in parts):
        raise InputError(
            "A record of format fim has neither prefix, middle and suffix nor a file's content.",
            where=name,
            fix="add the fields, or set the format of this source to instruct",
        )
    prefix, middle, suffix = (str(part) for part in parts)
    return Cut(prefix, middle, suffix)
