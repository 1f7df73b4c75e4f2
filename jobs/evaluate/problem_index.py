"""Runs of words of problems, to find them in other texts."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.jobs.data.filters.contamination import FEWEST_DIFFERENT, MOST_ITEMS, NGRAM, varied
from starfreight.jobs.data.word_hashes import ngram_hashes, word_hashes
from starfreight.jobs.evaluate.suites.interface import Problem

if TYPE_CHECKING:
    from starfreight.jobs.data.word_hashes import Hashes

PLACE = ("prefix", "expected", "suffix")
"""Keys of a place to complete; together they are its file, or the part of it around the place."""
_NOT_TEXT = frozenset(
    ("id", "problem", "item", "kind", "language", "path", "repository", "context", "file_digest")
)
_DEEPEST = 8
_NEAR = 1_000
"""Characters around a place with more than ten words."""

Key = tuple[str, str]
"""A suite, and an item of it."""


@dataclass(frozen=True)
class ProblemIndex:
    """N-grams of the problems of suites.

    Attributes:
        hashes: sorted.
        owners: the item of each.
        items: the items with n-grams.
    """

    hashes: Hashes
    owners: Any
    items: tuple[Key, ...]

    @classmethod
    def of(cls, suites: Mapping[str, Sequence[Problem]]) -> ProblemIndex:
        """Makes the index of problems by suite."""
        import numpy as np

        items: dict[Key, int] = {}
        pieces, owners = [], []
        for suite, problems in suites.items():
            by_item: dict[str, list[Hashes]] = {}
            by_source: dict[str, list[Hashes]] = {}
            for problem in problems:
                grams = list(_ngrams(problem))
                by_item.setdefault(item_of(problem), []).extend(grams)
                # The completion of a place is no boilerplate, however often it occurs.
                if not is_place(problem):
                    by_source.setdefault(str(problem.get("problem") or problem["id"]), []).extend(grams)
            common = _boilerplate(list(by_source.values()))
            for item, grams in by_item.items():
                kept = np.unique(np.concatenate([np.zeros(0, np.uint64), *grams]))
                kept = kept[~np.isin(kept, common)] if len(common) else kept
                if len(kept):
                    number = items.setdefault((suite, item), len(items))
                    pieces.append(kept)
                    owners.append(np.full(len(kept), number, np.int64))
        hashes = np.concatenate(pieces) if pieces else np.zeros(0, np.uint64)
        owned = np.concatenate(owners) if owners else np.zeros(0, np.int64)
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], owned[order], tuple(items))


def _boilerplate(sources: Sequence[Sequence[Hashes]]) -> Hashes:
    """The n-grams of many source problems."""
    import numpy as np

    every = [np.unique(np.concatenate(each)) for each in sources if each]
    values, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *every]), return_counts=True)
    common: Hashes = values[counts > MOST_ITEMS]
    return common


def _ngrams(problem: Problem) -> Iterator[Hashes]:
    if is_place(problem):
        yield _ngrams_of_place(*(problem[part] for part in PLACE))
        return
    for text in _texts(problem, 0):
        words = word_hashes(text)
        yield ngram_hashes(words, NGRAM)[_telling(words)]


def _telling(words: Hashes) -> Any:
    """For each n-gram, true if it has enough different words besides numbers: tests count to ten, too."""
    import numpy as np

    if len(words) < NGRAM:
        return np.zeros(0, dtype=bool)
    named = np.where(np.isin(words, _numbers()), np.uint64(0), words)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(named, NGRAM), axis=1)
    different = (np.diff(windows, axis=1) != 0).sum(axis=1) + (windows[:, 0] != 0)
    return different >= FEWEST_DIFFERENT


@functools.cache
def _numbers() -> Hashes:
    return word_hashes(" ".join(map(str, range(10_000))))


def _ngrams_of_place(prefix: str, middle: str, suffix: str) -> Hashes:
    """N-grams in the middle; those with all of the middle in them if it is shorter."""
    prefix, suffix = prefix[-_NEAR:], suffix[:_NEAR]
    words = word_hashes(prefix + middle + suffix)
    # A middle may begin or end within a word, which then belongs to it.
    start = len(word_hashes(prefix + middle)) - len(word_hashes(middle))
    end = len(words) - len(word_hashes(middle + suffix)) + len(word_hashes(middle))
    around = max(0, NGRAM - (end - start))
    words = words[max(0, start - around) : end + around]
    found: Hashes = ngram_hashes(words, NGRAM)[varied(words)]
    return found


def _texts(value: Any, depth: int) -> Iterator[str]:
    # Each field by itself: adjacent fields of a problem do not make one text.
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        for name, each in value.items():
            if depth or name not in _NOT_TEXT:
                yield from _texts(each, depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes) and depth < _DEEPEST:
        for each in value:
            yield from _texts(each, depth + 1)


def item_of(problem: Problem) -> str:
    """The name of a problem's item: several problems may be one, completed in several ways."""
    return str(problem.get("item") or problem["id"])


def is_place(problem: Problem) -> bool:
    """True for a place in a file."""
    return all(isinstance(problem.get(part), str) for part in PLACE)
