"""Samples in the catalogue of a recipe's data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CatalogueEntry:
    """A sample in the catalogue. Its attributes are those of a :class:`Finding`."""

    name: str
    digest: str
    size: int
    swhid: str | None
    license: str | None
    repository: str | None
    commit: str | None
    language: str | None
    held_out: bool


@dataclass(frozen=True)
class LeftOutSample:
    """A sample left out. ``twin`` is the source number and the name of the one it duplicates."""

    source: int
    name: str
    filter: str
    detail: str
    twin: tuple[int, str] | None
