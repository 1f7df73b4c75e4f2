"""Examples of the first texts of each source, made as a run makes them: finds errors in the records."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import InputError
from starfreight.recipe import Recipe

if TYPE_CHECKING:
    from starfreight.jobs.data.blocks.example_worker import ExampleBatch, ExampleTask
    from starfreight.jobs.data.manifest.samples import Split
    from starfreight.jobs.data.sources import Sample

_BYTES_OF_A_TOKEN = 16
"""Text of more bytes per token of a block surely fills one."""

_LEAST = 20
"""Texts of a source of which examples are made, if they are larger than that."""


class FirstTexts:
    """The first texts of each source, as far as they are needed.

    Args:
        recipe: without a sweep.
        base: the directory of the base model; ``None`` if it is not here.
    """

    def __init__(self, recipe: Recipe, base: Path | None) -> None:
        self._recipe = recipe
        self._base = base
        self._length = recipe.training.sequence_length
        self._room = _BYTES_OF_A_TOKEN * self._length
        self._texts: list[list[Sample]] = [[] for _ in recipe.data]
        self._sizes = [0] * len(recipe.data)

    def add(self, number: int, sample: Sample) -> None:
        """Keep a text of a source if it is among the first."""
        self._sizes[number] += sample.size
        if self._sizes[number] <= self._room or len(self._texts[number]) < _LEAST:
            self._texts[number].append(sample)

    def check(
        self, kept: Sequence[set[str]], held_out: Sequence[set[str]], *, whole: bool
    ) -> InputError | None:
        """Make the examples of the first pass as a run makes them.

        Args:
            kept: for each source the names of the texts to train on.
            held_out: for each source the names of the texts held out.
            whole: true if all sources were read to their end.

        Returns:
            the error of data that do not fill a block, or of held-out texts without an example.

        Raises:
            InputError: a text does not follow its format.
        """
        base = self._base
        if base is None or not (base / "tokenizer.json").is_file():
            return None
        if importlib.util.find_spec("tokenizers") is None:
            return None
        from starfreight.jobs.data.blocks.enough_data import require_examples, require_held_out
        from starfreight.jobs.data.blocks.example_worker import make_example_worker

        make = make_example_worker(self._recipe.data, str(base), self._length, 4)
        allow_little = self._recipe.run.allow_little_data
        tokens = self._tokens(make, "train", kept)
        out = self._tokens(make, "held_out", held_out)
        try:
            if whole and self._has_all(kept):
                require_examples(tokens, self._length, allow_little=allow_little)
            if whole and any(held_out) and self._has_all(held_out):
                require_held_out(out, self._length, allow_little=allow_little)
        except InputError as error:
            return error
        return None

    def _has_all(self, names: Sequence[set[str]]) -> bool:
        """True if no text of these names is missing here."""
        return all(
            wanted <= {sample.name for sample in texts}
            for wanted, texts in zip(names, self._texts, strict=True)
        )

    def _tokens(
        self, make: Callable[[ExampleTask], ExampleBatch], side: Split, names: Sequence[set[str]]
    ) -> int:
        """The tokens of the examples of the texts of these names."""
        from starfreight.jobs.data.blocks.example_worker import ExampleTask, groups, seeds

        tokens = 0
        for number, source in enumerate(self._recipe.data):
            texts = [sample for sample in self._texts[number] if sample.name in names[number]]
            weight = source.weight if side == "train" else 1.0
            for samples in groups(texts, whole_repositories=source.format == "repository"):
                key = f"{side} {self._recipe.training.seed} 0 {number} {samples[0].name}"
                found = seeds(key, weight, (0.0, 1.0))
                tokens += sum(make(ExampleTask(number, samples, found, False)).lengths)
        return tokens
