"""The choice of places: by hashes, so that a new file moves none in the others.

Each file gives one place of each kind before any gives a second one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from starfreight.console import Advance, no_progress
from starfreight.jobs.evaluate.held_out.file_choice import rank
from starfreight.jobs.evaluate.places.candidates import candidates
from starfreight.jobs.evaluate.suites.interface import HeldOutFile

_MOST_ROUNDS = 50


@dataclass(frozen=True)
class Place:
    """A place to complete.

    Attributes:
        file: the file.
        kind: one of :data:`starfreight.jobs.evaluate.places.candidates.KINDS`.
        start: the first character of the middle.
        end: the character after it.
    """

    file: HeldOutFile
    kind: str
    start: int
    end: int

    @property
    def middle(self) -> str:
        """The right completion."""
        return self.file.text[self.start : self.end]

    @property
    def id(self) -> str:
        """``src/area.py:12:5+30``: line, column and length in characters, under the id of the file."""
        before = self.file.text[: self.start]
        line, column = before.count("\n") + 1, self.start - (before.rfind("\n") + 1) + 1
        return f"{_short(self.file.id)}:{line}:{column}+{self.end - self.start}"


def choose_places(
    files: Sequence[HeldOutFile], count: int, seed: int, advance: Advance = no_progress
) -> list[Place]:
    """Choose places, in an order that depends on the seed and on the chosen places alone.

    Args:
        files: copies of a text are cut once.
        count: most places.
        seed: another one gives other places.
        advance: called for each file.
    """
    ranked: list[tuple[int, int, Place]] = []
    for file in _distinct(files, count, seed):
        kinds: dict[str, list[tuple[int, Place]]] = {}
        for kind, start, end in candidates(file.text, file.path):
            place = Place(file, kind, start, end)
            kinds.setdefault(kind, []).append((rank(seed, file.id, kind, start, end), place))
        advance(1)
        for kind, found in kinds.items():
            found.sort(key=lambda each: each[0])
            for number, (_, place) in enumerate(found[:_MOST_ROUNDS]):
                # Not the place's own rank: the lowest of many is lower than that of a few.
                ranked.append((number, rank(seed, file.id, kind, number), place))
    ranked.sort(key=lambda each: each[:2])
    return [place for _, _, place in ranked[:count]]


def _distinct(files: Sequence[HeldOutFile], count: int, seed: int) -> list[HeldOutFile]:
    """At most ``count`` files of different texts."""
    seen: dict[bytes, HeldOutFile] = {}
    for file in sorted(files, key=lambda file: (rank(seed, file.id), file.id)):
        seen.setdefault(hashlib.sha256(file.text.encode("utf-8", "surrogatepass")).digest(), file)
        if len(seen) == count:
            break
    return list(seen.values())


def _short(name: str) -> str:
    if len(name) <= 300:
        return name
    return f"{name[:200]}...{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
