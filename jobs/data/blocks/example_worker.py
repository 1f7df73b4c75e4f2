"""From samples to examples, in whatever process: what comes out depends on the task alone."""

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
from starfreight.jobs.data.formats import LeftOut, Probe, make_format
from starfreight.jobs.data.redaction import redact
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

MAX_REPOSITORY_BYTES = 32 << 20
"""A repository that is larger is read in parts, so that memory stays bounded."""


@dataclass(frozen=True)
class Task:
    """Samples to make examples of.

    Attributes:
        source: its number in the recipe.
        samples: one, or those of one repository.
        seeds: examples are made once with each of them.
        probes: whether lines to complete are wanted, too.
    """

    source: int
    samples: tuple[Sample, ...]
    seeds: tuple[str, ...]
    probes: bool

    @property
    def size(self) -> int:
        """In bytes of text to encode."""
        return len(self.seeds) * sum(sample.size for sample in self.samples)


@dataclass(frozen=True)
class Made:
    """What a task gives.

    Attributes:
        examples: one after another, as an examples file has them.
        lengths: tokens of each.
        probes: lines to complete, each with a key to draw by.
        left_out: how many examples did not fit, by reason.
        size: bytes of the texts that they were made of.
    """

    examples: bytes
    lengths: array.array[int]
    probes: list[tuple[int, Probe]]
    left_out: dict[str, int]
    size: int


def make_maker(data: Sequence[Data], base: str, length: int, id_bytes: int) -> Callable[[Task], Made]:
    """A worker for :func:`starfreight.jobs.data.worker_pool.ordered_map`.

    Args:
        data: the recipe's sources.
        base: the folder of the base model, for its tokenizer.
        length: tokens of a block.
        id_bytes: of an id in an examples file.
    """
    encoder = Encoder(Path(base))
    formats = [make_format(each, encoder, length) for each in data]

    def make(task: Task) -> Made:
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
                if isinstance(made, LeftOut):
                    left_out[made.reason] += 1
                elif len(made.ids) > 1:  # Of a single token there is nothing to learn.
                    pieces.append(encode_example(made, id_bytes))
                    lengths.append(len(made.ids))
            if task.probes:
                for number, probe in enumerate(form.probes(samples, rng)):
                    probes.append((draw(f"{seed} probe {number}"), probe))
        return Made(b"".join(pieces), lengths, probes, dict(left_out), task.size)

    return make


def draw(text: str) -> int:
    """A number of 64 bits that depends on nothing but ``text``."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def groups(samples: Iterable[Sample], *, whole_repositories: bool) -> Iterator[tuple[Sample, ...]]:
    """Samples that belong together: those of one repository, which come one after another, or each alone."""
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
    """The seeds to make examples with: ``weight`` of them on average, and of these the ones in ``part``.

    Args:
        key: names the pass and what the examples are made of.
        weight: of the source.
        part: from where to where in 0 to 1, over all that there is.
    """
    found = []
    for copy in range(math.ceil(weight)):
        text = f"{key} {copy}"
        if weight - copy < 1 and draw(f"{text} weight") / 2**64 >= weight - copy:
            continue
        if part[0] <= draw(f"{text} part") / 2**64 < part[1]:
            found.append(text)
    return tuple(found)
