"""From a manifest to what training reads: blocks to learn from, and blocks and lines to measure with."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.data.encoder import Encoder
from jobs.data.formats import Example, Format, Probe, make_format
from jobs.data.manifest import DataManifest
from jobs.data.packing import Block, pack
from jobs.data.sources import Sample, open_source
from starfreight.errors import InputError
from starfreight.recipe import Recipe


@dataclass(frozen=True)
class TrainingData:
    """Everything that one run reads.

    Attributes:
        blocks: in the order in which they are learned; a whole number of steps.
        held_out: blocks to measure the loss with.
        probes: held-out lines to complete.
    """

    blocks: tuple[Block, ...]
    held_out: tuple[Block, ...]
    probes: tuple[Probe, ...]


def make_blocks(
    recipe: Recipe, manifest: DataManifest, paths: Sequence[Path], encoder: Encoder
) -> TrainingData:
    """Reads the data and makes every example of a run.

    The same recipe, files and seed give the same blocks on any machine.

    Raises:
        InputError: a file has changed, a record is not of its format, or nothing is left to learn from.
    """
    training = recipe.training
    train: list[tuple[Format, Sample]] = []
    apart: list[tuple[Format, Sample]] = []
    for data, listed, path in zip(recipe.data, manifest.sources, paths, strict=True):
        form = make_format(data, encoder, training.sequence_length)
        for sample in open_source(data, path).samples(listed.found()):
            (train if sample.split == "train" else apart).append((form, sample))

    length, fill = training.sequence_length, encoder.fim.end_of_text
    in_step = training.batch_size * training.gradient_accumulation
    passes = _passes(train, training.seed, length, fill)
    if training.steps is not None:
        blocks = list(itertools.islice(itertools.chain.from_iterable(passes), training.steps * in_step))
    else:
        epochs = training.epochs or 1.0
        made = [list(blocks) for blocks in itertools.islice(passes, math.ceil(epochs))]
        count = math.ceil(epochs * sum(map(len, made)) / len(made) / in_step) * in_step if made else 0
        # A last step that is not full is filled with the first blocks again.
        blocks = list(itertools.islice(itertools.cycle(itertools.chain.from_iterable(made)), count))
    if not blocks:
        raise InputError(
            "The data gives no example to learn from.",
            where="key data",
            fix="add files, or raise training.sequence_length so that examples fit",
        )
    # What is held out is cut once, by a generator of its own, so that every run measures the same.
    rng = random.Random(f"held out {training.seed}")
    held_out = list(pack((e for form, sample in apart for e in form.examples(sample, rng)), length, fill))
    probes = [probe for form, sample in apart for probe in form.probes(sample, rng)]
    # What is measured is drawn from all of it: the first ones would be of a few files, and the longest.
    rng.shuffle(held_out)
    rng.shuffle(probes)
    return TrainingData(
        tuple(blocks),
        tuple(held_out[: training.evaluation_blocks]),
        tuple(probes[: training.evaluation_completions]),
    )


def _passes(
    samples: Sequence[tuple[Format, Sample]], seed: int, length: int, fill: int
) -> Iterator[Iterator[Block]]:
    """Passes over the data without end, each in another order and with other cuts."""
    for epoch in itertools.count():
        rng = random.Random(f"train {seed} {epoch}")
        examples: list[Example] = []
        for form, sample in samples:
            examples += form.examples(sample, rng)
        if not examples:
            return
        rng.shuffle(examples)
        blocks = list(pack(examples, length, fill))
        rng.shuffle(blocks)
        yield iter(blocks)
