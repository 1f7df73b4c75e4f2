"""The interface of formats."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

IGNORED = -100
"""The label of a token ignored by the loss, as defined by PyTorch's cross-entropy."""


@dataclass(frozen=True)
class Example:
    """Token ids and, for each, itself or :data:`IGNORED` as its label."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class LeftOutExample:
    """An example, or a part of one, left out; ``reason`` in a few words."""

    reason: str


@dataclass(frozen=True)
class Probe:
    """A line to complete: the ids from ``start`` on are the ones that greedy decoding has to produce."""

    ids: list[int]
    start: int


class Format(Protocol):
    """A conversion of samples to examples.

    Samples are passed in groups: those of one repository if ``whole_repositories`` is true, otherwise one at
    a time. The result depends on the group and the generator alone.
    """

    whole_repositories: ClassVar[bool]

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        """Make examples of at most ``length`` tokens by the rules of ``data``."""

    def examples(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Example | LeftOutExample]:
        """Yield the examples of a group; further calls with the same generator give new ones.

        Raises:
            InputError: a sample lacks fields required by this format.
        """

    def probes(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Probe]:
        """Yield lines of a group to complete; none if the format has no such lines."""
