"""Whole repositories: their files in one text, imported files before the files that import them.

StarCoder 2 (Lozhkov et al. 2024, section 5.1) was trained on these forms, with and without names, half each::

    <repo_name>R<file_sep>a.py\\ncode<file_sep><fim_prefix>b.py\\npre<fim_suffix>suf<fim_middle>mid<file_sep>...<|endoftext|>
    <file_sep>code<file_sep>code<|endoftext|>

StarCoder 1 (Li et al. 2023) has ``<reponame>`` and ``<filename>`` instead. Its ``<filename>`` only precedes a
path, also inside ``<fim_prefix>``, and files without a path are separated by ``<|endoftext|>``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from starfreight.errors import InputError
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.fim import MARKS, Cut, arrange, cut_line, shorten
from starfreight.jobs.data.formats.fim import draw_cut
from starfreight.jobs.data.formats.interface import Example, LeftOutExample, Probe
from starfreight.jobs.data.formats.windows import Window, required_text, windows
from starfreight.jobs.data.import_order import order_by_imports
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

_SPARE = 8
"""Tokens a text may gain when cut in three."""


@dataclass(frozen=True)
class _Style:
    """The ids around a file, and at the beginning and the end of an example."""

    begin: list[int]
    before: list[int]
    named: list[int]
    """Before the path, inside ``<fim_prefix>``."""
    after: list[int]
    goes_on: list[int]
    ends: list[int]
    paths: bool


@dataclass(frozen=True)
class _Piece:
    """A file, or a window of one, in an example."""

    ids: list[int]
    title: str
    window: Window


class RepositoryFormat:
    """Examples of whole files; each begins with the repository's name, and only the last ends the text."""

    whole_repositories: ClassVar[bool] = True

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        if encoder.repository is None:
            raise InputError(
                "The tokenizer has no tokens for repository and file names.",
                where="key data.format",
                fix="use the format fim, or a base model with such tokens, such as StarCoder 2",
            )
        self._fim = data.fim
        self._rules = data.repository
        self._encoder = encoder
        self._tokens = encoder.repository
        self._length = length

    def examples(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Example | LeftOutExample]:
        """Yield the examples of one repository."""
        style = self._style(samples[0], named=rng.random() < self._rules.metadata_rate)
        rate = self._rules.file_fim_rate if rng.random() < self._rules.fim_rate else 0.0
        left_out: list[LeftOutExample] = []
        for pieces, last in self._windows(samples, style, rate, rng, left_out):
            ids = [*style.begin, *(number for piece in pieces for number in piece.ids)]
            ids += style.ends if last else style.goes_on
            yield Example(ids, ids)
        yield from left_out

    def probes(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Probe]:
        """Yield a line of the last file of each example, after all files before it."""
        style = self._style(samples[0], named=True)
        for pieces, last in self._windows(samples, style, 0.0, rng, []):
            cut = cut_line(pieces[-1].window.text, rng)
            head = [*style.begin, *(number for piece in pieces[:-1] for number in piece.ids)]
            end = [*style.after, *(style.ends if last else style.goes_on)][:1]
            room = self._length - len(head) - len(end)
            filled = self._cut(pieces[-1], cut, style, room, spm=False) if cut else None
            if filled is not None:
                ids = [*head, *filled, *end]
                start = len(ids) - ids[::-1].index(self._encoder.fim.middle)
                yield Probe(ids, start)

    def _style(self, sample: Sample, *, named: bool) -> _Style:
        tokens, end = self._tokens, self._encoder.fim.end_of_text
        name = [tokens.repository, *self._encoder.encode(sample.repository)] if sample.repository else []
        # A very long name would leave too little space for the files.
        paths = named and sample.path is not None and len(name) < self._length // 4
        begin = name if paths else []
        if tokens.separates:
            return _Style(begin, [tokens.file], [], [], [tokens.file], [end], paths)
        if paths:
            return _Style(begin, [], [tokens.file], [], [tokens.file], [end], paths)
        return _Style(begin, [], [], [end], [], [], paths)

    def _windows(
        self,
        samples: Sequence[Sample],
        style: _Style,
        rate: float,
        rng: random.Random,
        left_out: list[LeftOutExample],
    ) -> Iterator[tuple[list[_Piece], bool]]:
        """Yield the pieces of each example, and true if the repository ends with them."""
        room = self._length - len(style.begin) - 1
        together: list[_Piece] = []
        taken = 0
        for piece in self._pieces(samples, style, rate, rng, room, left_out):
            if together and taken + len(piece.ids) > room:
                yield together, False
                together, taken = [], 0
            together.append(piece)
            taken += len(piece.ids)
        if together:
            yield together, True

    def _pieces(
        self,
        samples: Sequence[Sample],
        style: _Style,
        rate: float,
        rng: random.Random,
        room: int,
        left_out: list[LeftOutExample],
    ) -> Iterator[_Piece]:
        files = [(sample.path or sample.name, required_text(sample, "repository")) for sample in samples]
        for number in order_by_imports(files):
            path, text = files[number]
            title = f"{path}\n" if style.paths else ""
            around = len(style.before) + len(style.named) + len(style.after)
            space = room - around - len(self._encoder.encode(title)) - MARKS - _SPARE
            if space < self._length // 4:
                left_out.append(LeftOutExample("path longer than the sequence"))
                continue
            cut_file = rng.random() < rate
            for window in windows(text, self._encoder, space, rng):
                cut = draw_cut(window.text, path, self._fim, rng) if cut_file else None
                spm = rng.random() < self._fim.spm_rate
                piece = _Piece([], title, window)
                ids = self._cut(piece, cut, style, room - len(style.after), spm=spm) if cut else None
                if ids is None:
                    ids = [*style.before, *style.named, *window.encode(title)]
                    ids = ids[: room - len(style.after)]
                yield _Piece([*ids, *style.after], title, window)

    def _cut(self, piece: _Piece, cut: Cut, style: _Style, room: int, *, spm: bool) -> list[int] | None:
        """Return a file in three pieces, without an end-of-text token; ``None`` if it does not fit."""
        prefix, middle, suffix = piece.window.encode_cut(cut, piece.title)
        prefix = [*style.named, *prefix]
        left = room - len(style.before) - (MARKS - 1) - len(prefix)
        # The prefix begins with the path and is therefore never truncated.
        kept = shorten([], middle, suffix, left) if left > 0 else None
        if kept is None or not middle:
            return None
        return [*style.before, *arrange(prefix, middle, kept[1], self._encoder.fim, spm=spm)[:-1]]
