"""The worker that converts samples to examples; its result depends on the task alone."""

from __future__ import annotations

import array
import collections
import dataclasses
import hashlib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.jobs.data.blocks.examples_file import encode_example
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import LeftOutExample, Probe, make_format
from starfreight.jobs.data.redaction import redact
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

MAX_REPOSITORY_BYTES = 32 << 20
"""Larger repositories are read in parts, so that memory stays bounded."""


@dataclass(frozen=True)
class ExampleTask:
    """Samples to convert to examples.

    Attributes:
        source: its number in the recipe.
        samples: one, or those of one repository.
        seeds: examples are made once with each of them.
        probes: true to make probes, too.
    """

    source: int
    samples: tuple[Sample, ...]
    seeds: tuple[str, ...]
    probes: bool

    @property
    def size(self) -> int:
        """Bytes of text to encode."""
        return len(self.seeds) * sum(sample.size for sample in self.samples)


@dataclass(frozen=True)
class ExampleBatch:
    """The result of a task.

    Attributes:
        examples: concatenated, in the encoding of an examples file.
        lengths: tokens of each.
        probes: each with a key for drawing.
        left_out: number of examples left out, by reason.
        size: bytes of their texts.
    """

    examples: bytes
    lengths: array.array[int]
    probes: list[tuple[int, Probe]]
    left_out: dict[str, int]
    size: int


def make_example_worker(
    data: Sequence[Data], base: str, length: int, id_bytes: int
) -> Callable[[ExampleTask], ExampleBatch]:
    """Return a worker for :func:`starfreight.jobs.data.worker_pool.ordered_map`.

    Args:
        data: the sources of the recipe.
        base: the directory of the base model, for its tokenizer.
        length: tokens of a block.
        id_bytes: of an id in an examples file.
    """
    encoder = Encoder(Path(base))
    formats = [make_format(each, encoder, length) for each in data]

    def make(task: ExampleTask) -> ExampleBatch:
        filters, form = data[task.source].filters, formats[task.source]
        samples = [
            dataclasses.replace(sample, content=redact(sample.content, filters)[0]) for sample in task.samples
        ]
        pieces: list[bytes] = []
        lengths = array.array("I")
        probes: list[tuple[int, Probe]] = []
        left_out: collections.Counter[str] = collections.Counter()
        for seed in task.seeds:
            rng = random.Random(seed)
            for made in form.examples(samples, rng):
                if isinstance(made, LeftOutExample):
                    left_out[made.reason] += 1
                elif len(made.ids) > 1:  # The loss does not count a first token.
                    pieces.append(encode_example(made, id_bytes))
                    lengths.append(len(made.ids))
            if task.probes:
                for number, probe in enumerate(form.probes(samples, rng)):
                    probes.append((draw(f"{seed} probe {number}"), probe))
        return ExampleBatch(b"".join(pieces), lengths, probes, dict(left_out), task.size)

    return make


def draw(text: str) -> int:
    """Return a 64-bit number that depends on ``text`` alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def groups(samples: Iterable[Sample], *, whole_repositories: bool) -> Iterator[tuple[Sample, ...]]:
    """Group samples: consecutive ones of one repository together, or each alone."""
    together: list[Sample] = []
    size = 0
    for sample in samples:
        alone = not whole_repositories or sample.repository is None
        if together and (
            alone or sample.repository != together[0].repository or size + sample.size > MAX_REPOSITORY_BYTES
        ):
            yield tuple(together)
            together, size = [], 0
        if alone:
            yield (sample,)
        else:
            together.append(sample)
            size += sample.size
    if together:
        yield tuple(together)


def seeds(key: str, weight: float, part: tuple[float, float]) -> tuple[str, ...]:
    """Return the seeds for making examples: ``weight`` of them on average, limited to those in ``part``.

    Args:
        key: identifies the pass and the samples.
        weight: of the source.
        part: bounds between 0 and 1; the interval from 0 to 1 selects all seeds.
    """
    found = []
    for copy in range(math.ceil(weight)):
        text = f"{key} {copy}"
        if weight - copy < 1 and draw(f"{text} weight") / 2**64 >= weight - copy:
            continue
        if part[0] <= draw(f"{text} part") / 2**64 < part[1]:
            found.append(text)
    return tuple(found)
