"""Files read from left to right."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import ClassVar

from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats.interface import Example, LeftOutExample, Probe
from starfreight.jobs.data.formats.windows import required_text, windows
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data


class CodeFormat:
    """Long files are read in windows of whole lines; only the last one ends with the end-of-text token."""

    whole_repositories: ClassVar[bool] = False

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        del data  # This format has no rules of its own.
        self._encoder = encoder
        self._length = length

    def examples(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Example | LeftOutExample]:
        """Yield one example per window."""
        for sample in samples:
            for window in windows(required_text(sample, "code"), self._encoder, self._length - 1, rng):
                ids = window.encode()[: self._length - 1]
                if window.last:
                    ids.append(self._encoder.fim.end_of_text)
                yield Example(ids, ids)

    def probes(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Probe]:
        """Yield none: without fill-in-the-middle, the end of a line is not predicted."""
        return iter(())
