"""Counts of the records of instructions: their dialects, what is special about them, and keys not used."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from starfreight.jobs.data.dialects.describe import ConversationCounts
from starfreight.jobs.data.filters.interface import Finding

_MOST_KEYS = 1000
"""Names of unused keys counted for each source."""


class ConversationTally:
    """The counts of all sources of a recipe, of the records that no filter for single samples rejects."""

    def __init__(self) -> None:
        self._dialects: dict[int, Counter[str]] = defaultdict(Counter)
        self._notes: dict[int, Counter[str]] = defaultdict(Counter)
        self._unused: dict[int, Counter[str]] = defaultdict(Counter)

    def add(self, source: int, found: Finding) -> None:
        """Count a sample of a source."""
        self._dialects[source].update([found.dialect] if found.dialect else ())
        self._notes[source].update(found.notes)
        counts = self._unused[source]
        counts.update(key for key in found.unused if key in counts or len(counts) < _MOST_KEYS)

    def notes(self, source: int) -> dict[str, int]:
        """Return the notes with their numbers, in alphabetical order."""
        return dict(sorted(self._notes[source].items()))

    def counts(self, source: int, left_out: Mapping[str, int]) -> ConversationCounts:
        """Return the counts of a source, with those of the records left out as no conversation."""
        return ConversationCounts(
            dialects=_by_count(self._dialects[source]),
            notes=_by_count(self._notes[source]),
            unused=_by_count(self._unused[source]),
            left_out=left_out,
        )


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
