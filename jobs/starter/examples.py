"""Rows of token ids for pretraining: pieces of modules, a part of them as fill-in-the-middle.

A row is as long as the context and holds whole examples only: none is split, and almost nothing is padded.
Each pass over the corpus cuts the modules in other places. One generator seeded with (seed, pass) makes
every random choice, so any pass can be reproduced on its own.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starfreight.files import canonical_json, sha256_bytes
from starfreight.jobs.data.fim import MARKS, Cut, FimTokens, arrange, cut_characters, cut_line, shorten
from starfreight.jobs.starter.corpus import SourceFile
from starfreight.jobs.starter.tokenizer import (
    END_OF_TEXT,
    FILE_SEP,
    FIM_MIDDLE,
    FIM_PREFIX,
    FIM_SUFFIX,
    REPO_NAME,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

FIM_TOKENS = FimTokens(prefix=FIM_PREFIX, middle=FIM_MIDDLE, suffix=FIM_SUFFIX, end_of_text=END_OF_TEXT)
REPOSITORY = "cpython"
_Pass = tuple[int, "Mix", int]
EMPTY = -1
"""Padding of a row."""

_PATH_RATE = 0.25
_WHOLE_ROW = 3.0
_SLICE = 1024
_POOL = 512
"""Examples waiting for a row at a time: more of them fill rows better, fewer keep the order more random."""


@dataclass(frozen=True)
class Mix:
    """Proportions of the kinds of examples, from 0 to 1.

    Attributes:
        fim: fill-in-the-middle among all examples.
        line: cuts within one line among these.
        spm: suffix before prefix among these.
        shortest: minimum length of a piece of a module, in characters.
        longest: maximum length of a piece, in characters per token of a row.
        whole: pieces that fill a row; the others are drawn evenly between the two lengths.
    """

    fim: float
    line: float
    spm: float
    shortest: int
    longest: float
    whole: float


BROAD = Mix(fim=0.5, line=0.5, spm=0.5, shortest=200, longest=_WHOLE_ROW, whole=0.0)
"""For learning the language."""

FOCUSED = Mix(fim=0.9, line=0.75, spm=0.3, shortest=100, longest=1.2, whole=0.05)
"""For learning to fill in. After 4 million broad tokens the model still wrote middles unrelated to the end of
the prefix: that transition is one token in a thousand there, and far more frequent with short pieces."""


class RowReader:
    """Rows by number, as if all passes followed one another.

    Args:
        files: the modules to read.
        tokenizer: with fewer than 32,768 tokens.
        seed: of the whole training.
    """

    def __init__(self, files: Sequence[SourceFile], tokenizer: Tokenizer, seed: int) -> None:
        self._files, self._tokenizer, self._seed = files, tokenizer, seed
        self._sizes: dict[_Pass, int] = {}
        self._kept: tuple[_Pass, NDArray[np.int16]] | None = None

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of everything the rows are made from."""
        names = [[file.path, file.sha256] for file in self._files]
        return sha256_bytes(canonical_json([names, self._tokenizer.to_str(), self._seed]))

    def read(self, length: int, mix: Mix, first: int, count: int) -> NDArray[np.int16]:
        """``count`` rows of ``length`` tokens starting at row ``first``, shape (count, length)."""
        import numpy as np

        number, picked = 0, []
        while count:
            size = self._sizes.get((length, mix, number))
            if size is None or first < size:
                table = self._pass((length, mix, number))
                size = len(table)
                if first < size:
                    picked.append(table[first : first + count])
                    count -= len(picked[-1])
            first = max(0, first - size)
            number += 1
        return np.concatenate(picked)

    def _pass(self, key: _Pass) -> NDArray[np.int16]:
        if self._kept is None or self._kept[0] != key:
            length, mix, number = key
            table = pass_rows(self._files, self._tokenizer, length, mix, self._seed, number)
            self._kept = (key, table)
            self._sizes[key] = len(table)
        return self._kept[1]


def pass_rows(
    files: Sequence[SourceFile], tokenizer: Tokenizer, length: int, mix: Mix, seed: int, number: int
) -> NDArray[np.int16]:
    """The rows of one pass over ``files``, shape (rows, ``length``), padded with :data:`EMPTY`.

    Args:
        files: the modules to read.
        tokenizer: with fewer than 32,768 tokens.
        length: tokens in a row.
        mix: the kinds of examples.
        seed: of the whole training.
        number: number of the pass, from zero.
    """
    import numpy as np

    rng = random.Random(f"starter {seed} {number}")
    pieces = [(file.path, text) for file in files for text in _pieces(file.text, length, mix, rng)]
    rng.shuffle(pieces)
    rows = list(_pack(_encode(pieces, tokenizer, length, mix, rng), length))
    rng.shuffle(rows)
    table = np.full((len(rows), length), EMPTY, dtype=np.int16)
    for row, members in zip(table, rows, strict=True):
        rng.shuffle(members)
        ids = [token for member in members for token in member]
        row[: len(ids)] = ids
    return table


def _pieces(text: str, length: int, mix: Mix, rng: random.Random) -> Iterator[str]:
    """Cut a module between lines into pieces of widely varying length, at most about one row each."""
    lines = text.splitlines(keepends=True)
    first = 0
    while first < len(lines):
        wanted = rng.uniform(mix.shortest, length * mix.longest)
        if mix.whole and rng.random() < mix.whole:
            wanted = length * _WHOLE_ROW
        last, size = first, 0
        while last < len(lines) and size < wanted:
            size += len(lines[last])
            last += 1
        yield "".join(lines[first:last])
        first = last


def _encode(
    pieces: Sequence[tuple[str, str]], tokenizer: Tokenizer, length: int, mix: Mix, rng: random.Random
) -> list[list[int]]:
    """Each piece as the token ids of one example of at most ``length`` tokens."""
    cuts = [_cut(text, mix, rng) if rng.random() < mix.fim else None for _, text in pieces]
    heads = [f"{path}\n" if rng.random() < _PATH_RATE else "" for path, _ in pieces]
    texts: list[str] = [REPOSITORY]
    for (_, text), cut, head in zip(pieces, cuts, heads, strict=True):
        texts.extend((head, text, "", "") if cut is None else (head, cut.prefix, cut.middle, cut.suffix))
    repository, *ids = _token_ids(texts, tokenizer)
    examples = []
    for index, cut in enumerate(cuts):
        path, prefix, middle, suffix = ids[4 * index : 4 * index + 4]
        before = [REPO_NAME, *repository, FILE_SEP] if path else []
        spm = rng.random() < mix.spm
        if cut is None:
            examples.append([*before, *path, *prefix, END_OF_TEXT][:length])
            continue
        room = length - MARKS - 1 - len(before) - len(path)
        if (kept := shorten(prefix, middle, suffix, room)) is None:
            continue
        examples.append([*before, *arrange([*path, *kept[0]], middle, kept[1], FIM_TOKENS, spm=spm)])
    return examples


def _token_ids(texts: Sequence[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
    # In slices: an encoding holds much more than the ids, and all at once would need a gigabyte.
    for first in range(0, len(texts), _SLICE):
        for encoding in tokenizer.encode_batch(texts[first : first + _SLICE], add_special_tokens=False):
            yield encoding.ids


def _cut(text: str, mix: Mix, rng: random.Random) -> Cut | None:
    return cut_line(text, rng) if rng.random() < mix.line else cut_characters(text, rng)


def _pack(examples: Sequence[list[int]], length: int) -> Iterator[list[list[int]]]:
    """The examples of each row, always taking the longest waiting one that fits."""
    waiting: list[tuple[int, int]] = []
    following = 0
    while True:
        while following < len(examples) and len(waiting) < _POOL:
            bisect.insort(waiting, (len(examples[following]), following))
            following += 1
        if not waiting:
            return
        row: list[list[int]] = []
        room = length
        while (fits := bisect.bisect_right(waiting, (room, len(examples)))) > 0:
            row.append(examples[waiting.pop(fits - 1)[1]])
            room -= len(row[-1])
        yield row
