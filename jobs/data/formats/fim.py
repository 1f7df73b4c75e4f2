"""Fill-in-the-middle examples, cut from files or given as triples of prefix, middle and suffix."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import ClassVar

from starfreight.jobs.data.dialects.triple import read_triple
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.fim import MARKS, Cut, arrange, cut_characters, cut_line, shorten
from starfreight.jobs.data.formats.interface import Example, LeftOutExample, Probe
from starfreight.jobs.data.formats.windows import file_text, windows
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.syntax_nodes import cut_node
from starfreight.recipe.data import Data, Fim

_Pieces = tuple[list[int], list[int], list[int]]
"""Prefix, middle and suffix as token ids."""

TOO_LONG = LeftOutExample("middle longer than the sequence")


def draw_cut(text: str, path: str | None, rules: Fim, rng: random.Random) -> Cut | None:
    """Draw a cut of a kind with the rates of ``rules``; a line if the language has no grammar."""
    kind = rng.random()
    if kind < rules.line_rate:
        return cut_line(text, rng)
    if kind < rules.line_rate + rules.nodes:
        return cut_node(text, path, rng) or cut_line(text, rng)
    return cut_characters(text, rng)


class FimFormat:
    """Long files are read in windows of whole lines; each window gives one example per pass."""

    whole_repositories: ClassVar[bool] = False

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        self._rules = data.fim
        self._encoder = encoder
        self._room = length - MARKS

    def examples(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Example | LeftOutExample]:
        """Yield one example per window, or one per triple."""
        for sample in samples:
            text = file_text(sample)
            if text is None:
                yield self._arranged(self._triple(sample), spm=rng.random() < self._rules.spm_rate)
                continue
            for window in windows(text, self._encoder, self._room, rng):
                cut = None
                if rng.random() < self._rules.rate:
                    cut = draw_cut(window.text, sample.path, self._rules, rng)
                if cut is not None:
                    yield self._arranged(window.encode_cut(cut), spm=rng.random() < self._rules.spm_rate)
                    continue
                ids = window.encode()[: self._room]
                # The text ends with its last window only.
                ids += [self._encoder.fim.end_of_text] if window.last else []
                yield Example(ids, ids)

    def probes(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Probe]:
        """Yield a line of each window, in the order used by editors: prefix, suffix, middle."""
        for sample in samples:
            text = file_text(sample)
            pieces: list[_Pieces] = []
            if text is None:
                pieces = [self._triple(sample)]
            else:
                for window in windows(text, self._encoder, self._room, rng):
                    cut = cut_line(window.text, rng)
                    pieces += [window.encode_cut(cut)] if cut else []
            for each in pieces:
                example = self._arranged(each, spm=False)
                if isinstance(example, Example):
                    yield Probe(example.ids, example.ids.index(self._encoder.fim.middle) + 1)

    def _triple(self, sample: Sample) -> _Pieces:
        prefix, middle, suffix = (self._encoder.encode(part) for part in read_triple(sample))
        return prefix, middle, suffix

    def _arranged(self, pieces: _Pieces, *, spm: bool) -> Example | LeftOutExample:
        prefix, middle, suffix = pieces
        if not middle:
            return LeftOutExample("middle empty")
        kept = shorten(prefix, middle, suffix, self._room)
        if kept is None:
            return TOO_LONG
        ids = arrange(kept[0], middle, kept[1], self._encoder.fim, spm=spm)
        return Example(ids, ids)
