"""What every source of training data offers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from starfreight.recipe.models import Data

Split = Literal["train", "held_out", "records"]
"""Where a file belongs; ``records`` when it is divided record by record."""


@dataclass(frozen=True)
class Found:
    """A file of a source. The path is relative to the source's root and uses slashes."""

    path: str
    digest: str
    size: int
    split: Split


@dataclass(frozen=True)
class Listing:
    """The files of a source, sorted by path, and how many were left out for which reason."""

    files: tuple[Found, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """What an example is made of: the text of a file, or a record with named fields."""

    name: str
    split: Literal["train", "held_out"]
    content: str | Mapping[str, Any]


class Source(Protocol):
    """A place that training data comes from."""

    def __init__(self, path: Path, data: Data) -> None:
        """Opens the source at ``path`` by the rules of ``data``."""

    def list_files(self) -> Listing:
        """Every file that will be used, with its digest.

        Raises:
            InputError: nothing usable, or something that must not be used.
        """

    def samples(self, files: Sequence[Found]) -> Iterator[Sample]:
        """The contents of files that :meth:`list_files` found earlier.

        Raises:
            InputError: a file has changed since, or holds something else than its format says.
        """


def held_out_names(names: Sequence[str], fraction: float) -> frozenset[str]:
    """Which names are kept apart: always the same ones for the same names, whatever their order.

    At least one is kept apart when ``fraction`` is not 0 and there are two or more, and at least
    one stays.
    """
    if fraction == 0 or len(names) < 2:
        return frozenset()
    count = min(max(1, round(len(names) * fraction)), len(names) - 1)
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(ordered[:count])
