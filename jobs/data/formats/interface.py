"""What every format offers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from jobs.data.encoder import Encoder
from jobs.data.sources import Sample
from starfreight.recipe.models import Data

IGNORED = -100
"""The label of a token that the loss does not count, as PyTorch's cross-entropy has it."""


@dataclass(frozen=True)
class Example:
    """Token ids and, for each, itself or :data:`IGNORED` as its label."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Probe:
    """A line to complete: the ids from ``start`` on are what greedy decoding must give."""

    ids: list[int]
    start: int


class Format(Protocol):
    """A way to make examples."""

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        """Makes examples of at most ``length`` tokens by the rules of ``data``."""

    def examples(self, sample: Sample, rng: random.Random) -> Iterator[Example]:
        """The examples of one sample, new ones at each call with a generator that has moved on.

        Raises:
            InputError: the sample does not have the fields that this format needs.
        """

    def probes(self, sample: Sample, rng: random.Random) -> Iterator[Probe]:
        """Lines of one sample to complete; none where a format has no such thing."""
