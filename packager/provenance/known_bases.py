"""Published facts about base models: their training data, its index and opt-out, and their size.

    base = known_base(package.base.name)
    print(base.index if base else "ask its maker")

The facts are in ``known_bases.json``. A base model is recognised by its hub id, which the run recorded. A
local directory of the same files has another name and is unknown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class KnownBase:
    """Facts about a base model.

    Attributes:
        name: hub id.
        title: name for people.
        maker: its provider.
        parameters: number of weights, rounded where its maker rounds.
        tokens: tokens of its training, at least.
        source: origin of these figures.
        data: its data sets.
        index: address to look for a repository in its data; ``None`` without one.
        opt_out: address to ask for removal; ``None`` without one.
    """

    name: str
    title: str
    maker: str
    parameters: int
    tokens: int
    source: str
    data: tuple[str, ...]
    index: str | None
    opt_out: str | None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "title": self.title,
            "maker": self.maker,
            "data": list(self.data),
            "index": self.index,
            "opt_out": self.opt_out,
            "source": self.source,
        }


def known_base(name: str) -> KnownBase | None:
    """The facts about a base model; ``None`` if there are none.

    Args:
        name: as in :attr:`starfreight.package.BaseOrigin.name`.
    """
    return _bases().get(name)


@cache
def _bases() -> dict[str, KnownBase]:
    table = json.loads(
        files("starfreight.packager.provenance").joinpath("known_bases.json").read_text("utf-8")
    )
    return {name: _base(name, each, table) for each in table["bases"] for name in each["names"]}


def _base(name: str, each: dict[str, Any], table: dict[str, Any]) -> KnownBase:
    def address(key: str) -> str | None:
        return table[each[key]][key] if each[key] else None

    return KnownBase(
        name=name,
        title=each["title"],
        maker=each["maker"],
        parameters=each["parameters"],
        tokens=each["tokens"],
        source=each["source"],
        data=tuple(each["data"]),
        index=address("index"),
        opt_out=address("opt_out"),
    )
