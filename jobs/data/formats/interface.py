"""What every format offers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

IGNORED = -100
"""The label of a token that the loss does not count, as PyTorch's cross-entropy has it."""


@dataclass(frozen=True)
class Example:
    """Token ids and, for each, itself or :data:`IGNORED` as its label."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class LeftOut:
    """What would have been an example, or a part of one, if it fitted; ``reason`` in a few words."""

    reason: str


@dataclass(frozen=True)
class Probe:
    """A line to complete: the ids from ``start`` on are what greedy decoding must give."""

    ids: list[int]
    start: int


class Format(Protocol):
    """A way to make examples.

    It gets samples in groups: all of one repository where ``whole_repositories`` says so, otherwise
    one at a time. What it makes depends on the group and the generator alone.
    """

    whole_repositories: ClassVar[bool]

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        """Makes examples of at most ``length`` tokens by the rules of ``data``."""

    def examples(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Example | LeftOut]:
        """The examples of a group, new ones at each call with a generator that has moved on.

        Raises:
            InputError: a sample does not have the fields that this format needs.
        """

    def probes(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Probe]:
        """Lines of a group to complete; none where a format has no such thing."""
