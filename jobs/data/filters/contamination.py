"""Contamination: texts with an n-gram of ten words from an evaluation set are left out.

Ten words as for DeepSeek-Coder (Guo et al. 2024); case, punctuation and layout do not count (see
:mod:`starfreight.jobs.data.word_hashes`). Two kinds of n-grams are ignored: those found in many items of a
set, which are its boilerplate (a header, a prompt template), and those of few different words, such as a row
of zeros. Items of fewer than ten words have no n-gram and cannot be detected.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.word_hashes import ngram_hashes, word_hashes

if TYPE_CHECKING:
    from starfreight.jobs.data.word_hashes import Hashes

NGRAM = 10
"""Words in an n-gram."""
FEWEST_DIFFERENT = 4
"""Fewest different words in an n-gram."""
MOST_ITEMS = 10
"""Most items with the same n-gram; more make it boilerplate."""
MAX_FILE_BYTES = 256 << 20
MAX_LINE_BYTES = 16 << 20
"""As for a source of records: parsed JSON takes far more memory than its text."""
MAX_NGRAMS = 16_000_000
"""N-grams of one set: 128 MiB in each filter process."""
_DEEPEST = 16


class ContaminationFilter:
    """Rejects texts with an n-gram of an evaluation set."""

    name = "contamination"

    def __init__(self, sets: tuple[str, ...], folder: Path) -> None:
        """Read the evaluation sets.

        Args:
            sets: directories, in which each file is an item, and JSONL files, in which each line is one.
            folder: the base of these paths.

        Raises:
            InputError: a set is missing, empty, too large, or not JSONL.
        """
        self._sets = tuple((name, _read_set(folder / name)) for name in sets)

    def reject(self, document: Document) -> str | None:
        """Return the set with the most n-grams in common, and their number."""
        import numpy as np

        found = np.unique(ngram_hashes(word_hashes(document.text), NGRAM))
        counts = [(_count_shared(found, known), name) for name, known in self._sets]
        count, name = max(counts, key=lambda item: item[0], default=(0, ""))
        if not count:
            return None
        return f"words in common with {name} ({count:,} runs of {NGRAM})"


def _count_shared(found: Hashes, known: Hashes) -> int:
    import numpy as np

    position = np.searchsorted(known, found)
    position[position == len(known)] = 0
    return int(np.count_nonzero(known[position] == found))


def _read_set(path: Path) -> Hashes:
    """Return the distinct n-grams of a set, sorted."""
    import numpy as np

    collected: list[Hashes] = []
    size = 0
    for text in _items(path):
        words = word_hashes(text)
        found = np.unique(ngram_hashes(words, NGRAM)[varied(words)])
        size += len(found)
        if size > MAX_NGRAMS:
            raise InputError(
                f"The evaluation set has more than {MAX_NGRAMS:,} n-grams of {NGRAM} words.",
                where=str(path),
                fix="name only the parts used for evaluation",
            )
        collected.append(found)
    values, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *collected]), return_counts=True)
    kept: Hashes = values[counts <= MOST_ITEMS]
    if not len(kept):
        raise InputError(
            f"The evaluation set has no item of {NGRAM} words, so nothing can be compared with it.",
            where=str(path),
            fix="check the path in data.filters.evaluation_sets, or remove it",
        )
    return kept


def varied(words: Hashes) -> Any:
    """For each n-gram, true if it has enough different words."""
    import numpy as np

    if len(words) < NGRAM:
        return np.zeros(0, dtype=bool)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(words, NGRAM), axis=1)
    return (np.diff(windows, axis=1) != 0).sum(axis=1) + 1 >= FEWEST_DIFFERENT


def _items(path: Path) -> Iterator[str]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            # The target of a link may be anywhere.
            if file.is_file() and not file.is_symlink():
                data = read_limited(file, MAX_FILE_BYTES, "file of an evaluation set")
                yield from _items_of(file, data)
    else:
        yield from _items_of(path, read_limited(path, MAX_FILE_BYTES, "evaluation set"))


def _items_of(path: Path, data: bytes) -> Iterator[str]:
    if path.suffix.lower() != ".jsonl":
        if b"\0" not in data[:8192]:
            yield data.decode("utf-8", "replace")
        return
    for number, line in enumerate(io.BytesIO(data), 1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES:
            raise InputError(
                "A line of an evaluation set is longer than 16 MiB.",
                where=f"{path}, line {number}",
                fix="write one item per line, or rename the file if it is not JSONL",
            )
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(
                "A line of an evaluation set is not JSON.",
                where=f"{path}, line {number}",
                fix="correct the line, or rename the file if it is not JSONL",
            ) from None
        yield from _texts(record, 0)


def _texts(value: Any, depth: int) -> Iterator[str]:
    # Each field is compared by itself: adjacent fields of a record do not make one text.
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST and isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item, depth + 1)
