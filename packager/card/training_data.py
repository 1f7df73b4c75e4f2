"""The card's tables of training data: by source, by language and by license."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starfreight.base_model import public_name
from starfreight.console import human_count

_MOST_ROWS = 40


@dataclass(frozen=True)
class Row:
    """A language or a license, with the samples used and their bytes."""

    name: str
    samples: int
    bytes: int


@dataclass(frozen=True)
class SourceRow:
    """A source of training data."""

    name: str
    license: str
    """Its licenses."""
    used: int
    bytes: int
    left_out: int


@dataclass(frozen=True)
class TrainingData:
    """Summary of the training data.

    Attributes:
        sources: in the order of the recipe.
        languages: most bytes first; empty for a manifest of version 1.
        licenses: most bytes first.
        left_out: samples left out, by filter and reason, most first.
        redacted: redactions in the texts, by kind.
    """

    sources: tuple[SourceRow, ...]
    languages: tuple[Row, ...]
    licenses: tuple[Row, ...]
    left_out: tuple[tuple[str, int], ...]
    redacted: tuple[tuple[str, int], ...]


def training_data(manifest: Mapping[str, Any]) -> TrainingData:
    """Summarise a data manifest of version 1 or 2, as parsed JSON."""
    sources = manifest["sources"]
    return TrainingData(
        sources=tuple(map(_source, sources)),
        languages=_rows(source.get("languages") for source in sources),
        licenses=_rows(map(_licenses, sources)),
        left_out=_counts(map(_left_out, sources)),
        redacted=_counts(source.get("replaced") for source in sources),
    )


def _source(source: Mapping[str, Any]) -> SourceRow:
    """A row of the table of sources. Manifests of version 1 have files and one license."""
    if "found" not in source:
        count, size = len(source["files"]), sum(file["size"] for file in source["files"])
        licenses, left_out = source["license"], sum(source["left_out"].values())
    else:
        count, size = (source["train"][key] + source["held_out"][key] for key in ("samples", "bytes"))
        licenses, left_out = ", ".join(source["licenses"]), source["found"] - count
    return SourceRow(public_name(source["source"]), licenses, count, size, left_out)


def _licenses(source: Mapping[str, Any]) -> Mapping[str, Any]:
    if "found" in source:
        found: Mapping[str, Any] = source["licenses"]
        return found
    row = _source(source)
    return {row.license: {"samples": row.used, "bytes": row.bytes}}


def _left_out(source: Mapping[str, Any]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for name, reasons in source["left_out"].items():
        if isinstance(reasons, dict):
            found |= {f"{name}: {reason}": count for reason, count in reasons.items()}
        else:
            found[name] = reasons
    return found


def _rows(counts: Iterable[Any]) -> tuple[Row, ...]:
    """The sum of several maps from a name to samples and bytes. A record from somebody else may lack any."""
    sums: dict[str, tuple[int, int]] = {}
    for each in counts:
        for name, count in each.items() if isinstance(each, dict) else ():
            samples, size = sums.get(name, (0, 0))
            found = (count.get("samples"), count.get("bytes")) if isinstance(count, dict) else (None, None)
            sums[name] = (samples + _number(found[0]), size + _number(found[1]))
    rows = [Row(name, samples, size) for name, (samples, size) in sums.items()]
    rows.sort(key=lambda row: (-row.bytes, row.name))
    if len(rows) > _MOST_ROWS:
        rest = rows[_MOST_ROWS:]
        rows = rows[:_MOST_ROWS]
        rows.append(
            Row(
                human_count(len(rest), "others"),
                sum(row.samples for row in rest),
                sum(row.bytes for row in rest),
            )
        )
    return tuple(rows)


def _counts(counts: Iterable[Any]) -> tuple[tuple[str, int], ...]:
    sums: dict[str, int] = {}
    for each in counts:
        for name, count in each.items() if isinstance(each, dict) else ():
            sums[name] = sums.get(name, 0) + _number(count)
    found = [(name, count) for name, count in sums.items() if count]
    return tuple(sorted(found, key=lambda each: (-each[1], each[0]))[:_MOST_ROWS])


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
