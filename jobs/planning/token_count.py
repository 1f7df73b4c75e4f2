"""Tokens and blocks of one pass over a recipe's data, counted with the tokenizer of its base model.

    sample = TokenSample(recipe, base)
    sample.add(0, text)                     # each text that was read
    sample.count(kept, sizes)               # TokenCount(tokens=210433, blocks=1812, about=False, ...)

The examples are made as a run makes them. Of large data, some texts are drawn by their names and counted for
a few seconds; the rest is assumed to be like them.
"""

from __future__ import annotations

import heapq
import importlib.util
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.errors import InputError
from starfreight.recipe import Recipe

if TYPE_CHECKING:
    from starfreight.jobs.data.sources import Sample

_MOST_BYTES = 8 << 20
"""Bytes of the texts of one source that are kept for counting."""
_SECONDS = 3.0
"""Time for counting all sources."""


@dataclass(frozen=True)
class TokenCount:
    """One pass over the training data.

    Attributes:
        tokens: of all examples.
        blocks: full of these examples, of ``training.sequence_length`` tokens each.
        about: true if they are extrapolated from a sample.
        bytes_per_second: speed of one process that makes examples.
        text: bytes of text.
    """

    tokens: int
    blocks: int
    about: bool
    bytes_per_second: float
    text: float

    def as_dict(self) -> dict[str, Any]:
        """The count for ``--json``."""
        return {"tokens": self.tokens, "blocks": self.blocks, "about": self.about}

    def error(self, recipe: Recipe) -> InputError | None:
        """The error of data that do not fill a block, if all of them were counted."""
        from starfreight.jobs.data.blocks.enough_data import require_examples

        if self.about:
            return None
        try:
            require_examples(
                self.tokens, recipe.training.sequence_length, allow_little=recipe.run.allow_little_data
            )
        except InputError as error:
            return error
        return None


@dataclass(frozen=True)
class TextSize:
    """The training texts of a source.

    Attributes:
        size: bytes.
        known: true if all of the source was read; otherwise the size is extrapolated.
    """

    size: float
    known: bool


class TokenSample:
    """Texts of each source, drawn by their names.

    Args:
        recipe: without a sweep.
        base: the directory of the base model; ``None`` if it is not here.
        most: bytes of the texts kept of each source.
        seconds: time for counting.
    """

    def __init__(
        self, recipe: Recipe, base: Path | None, most: int = _MOST_BYTES, seconds: float = _SECONDS
    ) -> None:
        self._recipe, self._base, self._most, self._seconds = recipe, base, most, seconds
        self._order = itertools.count()
        self._texts: list[list[tuple[int, int, Sample]]] = [[] for _ in recipe.data]
        """Of each source a heap of draw, place and text, the largest draw first."""
        self._sizes = [0] * len(recipe.data)

    def add(self, number: int, sample: Sample) -> None:
        """Add a text of a source; others give way to it if there are too many."""
        from starfreight.jobs.data.blocks.example_worker import draw

        texts = self._texts[number]
        heapq.heappush(texts, (-draw(sample.name), next(self._order), sample))
        self._sizes[number] += sample.size
        while self._sizes[number] > self._most and len(texts) > 1:
            self._sizes[number] -= heapq.heappop(texts)[2].size

    def count(self, kept: Sequence[set[str]], sizes: Sequence[TextSize | None]) -> TokenCount | None:
        """Count the tokens of one pass.

        Args:
            kept: for each source the names of the texts to train on.
            sizes: for each source the texts to train on; ``None`` if its size is unknown.

        Returns:
            ``None`` if a size, the tokenizer or its library is not here, or there is no token.
        """
        base = self._base
        if base is None or any(size is None for size in sizes) or not (base / "tokenizer.json").is_file():
            return None
        if importlib.util.find_spec("tokenizers") is None:
            return None
        import numpy as np

        from starfreight.jobs.data.blocks.example_worker import (
            ExampleTask,
            groups,
            make_example_worker,
            seeds,
        )
        from starfreight.jobs.data.blocks.packing import best_fit

        data, training = self._recipe.data, self._recipe.training
        make = make_example_worker(data, str(base), training.sequence_length, 4)
        began = time.monotonic()
        tokens = encoded = whole = 0.0
        about = False
        lengths: list[int] = []
        for number, (source, size) in enumerate(zip(data, sizes, strict=True)):
            assert size is not None
            texts = [sample for *_, sample in sorted(self._texts[number], key=lambda each: each[1])]
            texts = [sample for sample in texts if sample.name in kept[number]]
            ends = began + self._seconds * (number + 1) / len(data)
            read, found = 0, 0
            for samples in groups(texts, whole_repositories=source.format == "repository"):
                key = f"train {training.seed} 0 {number} {samples[0].name}"
                # At least once, for texts of a low weight; the weight is applied to their sum.
                made = make(ExampleTask(number, samples, seeds(key, 1.0, (0.0, 1.0)), False))
                read += sum(sample.size for sample in samples)
                found += sum(made.lengths)
                lengths += made.lengths
                if time.monotonic() > ends:
                    break
            about = about or not size.known or read < size.size or source.weight != 1
            encoded += read
            whole += size.size * source.weight
            if read:
                tokens += found * source.weight * max(size.size / read, 1.0)
        if not lengths:
            return None
        _, blocks = best_fit(np.array(lengths, dtype=np.uint32), training.sequence_length, 0)
        return TokenCount(
            tokens=round(tokens),
            blocks=math.ceil(blocks * tokens / sum(lengths)) if about else blocks,
            about=about,
            bytes_per_second=encoded / max(time.monotonic() - began, 1e-3),
            text=whole,
        )
