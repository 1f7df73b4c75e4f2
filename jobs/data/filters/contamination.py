"""Overlap with what the model is evaluated on: a text that shares ten words in a row with it is left out.

Ten words as for DeepSeek-Coder (Guo et al. 2024); case, punctuation and layout do not count (see
:mod:`starfreight.jobs.data.words`). A run of words that many items of a set have in common is its form, a
header or a way to ask, and no item's content, so it does not count; nor does a run of few different words,
such as a row of zeros. Items of fewer than ten words have no run and cannot be found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.words import runs, word_hashes

if TYPE_CHECKING:
    from starfreight.jobs.data.words import Hashes

RUN = 10
"""Words in a row."""
FEWEST_DIFFERENT = 4
"""Different words in a run that counts."""
MOST_ITEMS = 10
"""A run that more items have in common is their form."""
MAX_FILE_BYTES = 256 << 20
MAX_RUNS = 16_000_000
"""Of one set: 128 MiB in each process that examines."""
_DEEPEST = 16


class ContaminationFilter:
    """Leaves out texts that share a run of words with an evaluation set."""

    name = "contamination"

    def __init__(self, sets: tuple[str, ...], folder: Path) -> None:
        """Reads the evaluation sets.

        Args:
            sets: folders, of which each file is an item, and JSONL files, of which each line is one.
            folder: that their names are relative to.

        Raises:
            InputError: a set is missing, empty, too large, or not JSONL.
        """
        self._sets = tuple((name, _read_set(folder / name)) for name in sets)

    def reject(self, document: Document) -> str | None:
        """The set with the most runs in common, and how many."""
        import numpy as np

        found = np.unique(runs(word_hashes(document.text), RUN))
        counts = [(_count_shared(found, known), name) for name, known in self._sets]
        count, name = max(counts, key=lambda item: item[0], default=(0, ""))
        if not count:
            return None
        return f"words in common with {name} ({count:,} runs of {RUN})"


def _count_shared(found: Hashes, known: Hashes) -> int:
    import numpy as np

    place = np.searchsorted(known, found)
    place[place == len(known)] = 0
    return int(np.count_nonzero(known[place] == found))


def _read_set(path: Path) -> Hashes:
    """The runs of a set, each once, sorted."""
    import numpy as np

    collected: list[Hashes] = []
    size = 0
    for text in _items(path):
        words = word_hashes(text)
        found = np.unique(runs(words, RUN)[_varied(words)])
        size += len(found)
        if size > MAX_RUNS:
            raise InputError(
                f"The evaluation set has more than {MAX_RUNS:,} runs of {RUN} words.",
                where=str(path),
                fix="name the parts that the model is really evaluated with",
            )
        collected.append(found)
    values, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *collected]), return_counts=True)
    kept: Hashes = values[counts <= MOST_ITEMS]
    if not len(kept):
        raise InputError(
            f"The evaluation set has no item of {RUN} words, so nothing can be compared with it.",
            where=str(path),
            fix="check the path in data.filters.evaluation_sets, or remove it",
        )
    return kept


def _varied(words: Hashes) -> Any:
    """For each run of words, whether it has enough different ones."""
    import numpy as np

    if len(words) < RUN:
        return np.zeros(0, dtype=bool)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(words, RUN), axis=1)
    return (np.diff(windows, axis=1) != 0).sum(axis=1) + 1 >= FEWEST_DIFFERENT


def _items(path: Path) -> Iterator[str]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            # What a link points to may lie anywhere.
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
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(
                "A line of an evaluation set is not JSON.",
                where=f"{path}, line {number}",
                fix="correct that line, or give the file another ending when it is no JSONL",
            ) from None
        yield from _texts(record, 0)


def _texts(value: Any, depth: int) -> Iterator[str]:
    # Each field is compared by itself: what stands next to what in a record is nobody's text.
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST and isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item, depth + 1)
