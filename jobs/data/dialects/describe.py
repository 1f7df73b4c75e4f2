"""A line about the records of a source, from the first of them: their dialect, and the keys not used."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.errors import InputError
from starfreight.jobs.data.dialects.interface import Reading
from starfreight.jobs.data.dialects.reader import read_conversation
from starfreight.jobs.data.dialects.triple import check_record
from starfreight.jobs.data.sources.interface import MissingLibrary, Sample, SourceKind, Unusable
from starfreight.recipe.data import Data

LOOKED_AT = 200
"""Records that are read of a source."""

_MOST, _LONGEST = 20, 80

ADVICE = "convert these records to instructions and answers in text, or remove the source"
"""Advice for a source without a record to train on."""


@dataclass(frozen=True)
class ConversationCounts:
    """Numbers of records of a source of instructions, the highest first.

    Attributes:
        dialects: by dialect.
        notes: by :attr:`Reading.notes`.
        unused: by key that is not used.
        left_out: those left out as no conversation, by reason.
    """

    dialects: Mapping[str, int]
    notes: Mapping[str, int]
    unused: Mapping[str, int]
    left_out: Mapping[str, int]

    def lines(self) -> tuple[str, ...]:
        """Return them in up to four lines; none for a source of another format."""
        return tuple(
            f"{title}: {_listed(counts)}"
            for title, counts in (
                ("instruct records", self.dialects),
                ("of these" if self.dialects else "notes", self.notes),
                ("not used", self.unused),
                ("left out", self.left_out),
            )
            if counts
        )


def describe_dialect(data: Data, folder: Path) -> str | None:
    """Read the first records of a local source.

    Args:
        data: the source.
        folder: the base of the recipe's relative paths.

    Returns:
        a line such as ``instruct records: Alpaca (instruction, input, output), 12 of 12 read``; ``None`` for
        files, for a source that has to be fetched, and for one that needs a library that is missing.

    Raises:
        RecipeError: the source does not exist.
        InputError: a record lacks the fields of its format or has an invalid value, or all are left out.
    """
    from starfreight.jobs.data.sources import check_source, kind_of, open_source

    kind = kind_of(data.source, folder / data.source)
    if kind.is_remote(data.source) or (data.format != "instruct" and not _has_records(kind)):
        return None
    check_source(data, folder)
    source = open_source(data, kind.locate(data, folder, Console(quiet=True)))
    readings = []
    more = False
    try:
        for number, sample in enumerate(itertools.islice(source.samples(), LOOKED_AT + 1)):
            more = number == LOOKED_AT
            if isinstance(sample, Unusable) or more:
                continue
            if data.format == "instruct":
                readings.append(read_sample(sample, data))
            else:
                check_record(sample, data.format)
    except MissingLibrary:
        return None
    if not readings:
        return None
    if not more and all(each.left_out for each in readings):
        counts = Counter(each.left_out for each in readings if each.left_out)
        raise InputError(
            f"No record can be trained on: {_listed(dict(counts.most_common()))}.",
            where=f"key data.source, {data.source}",
            fix=ADVICE,
        )
    return summary(readings, more=more)


def _has_records(kind: SourceKind) -> bool:
    from starfreight.jobs.data.sources.dataset import DatasetKind
    from starfreight.jobs.data.sources.record_file import RecordFileKind

    return isinstance(kind, DatasetKind | RecordFileKind)


def read_sample(sample: Sample, data: Data) -> Reading:
    """Read the record of a sample.

    Raises:
        InputError: as :func:`read_conversation`, or the sample is a file.
    """
    if not isinstance(sample.content, Mapping):
        raise InputError(
            "A source of files has no instructions.",
            where=sample.name,
            fix="name a file of records, or dataset: and a directory of such files; for files of code, "
            "set data.format to fim",
        )
    return read_conversation(sample.content, data, sample.name)


def summary(readings: Sequence[Reading], *, more: bool = False) -> str:
    """Return the line about records that were read; ``more`` is true if there are others."""
    keys: dict[str, dict[str, None]] = {}
    for each in readings:
        keys.setdefault(each.dialect, {}).update(dict.fromkeys(each.keys))
    out = Counter(each.left_out for each in readings if each.left_out)
    unused = sorted({key for each in readings for key in each.unused})
    dialects = " and ".join(f"{name} ({', '.join(found)})" for name, found in keys.items())
    read = len(readings) - sum(out.values())
    return (
        f"instruct records: {dialects}, {read:,} of {'the first ' if more else ''}{len(readings):,} read"
        + (f"; left out: {_listed(dict(out.most_common()))}" if out else "")
        + (f"; keys not used: {_cut(unused)}" if unused else "")
    )


def _listed(counts: Mapping[str, int]) -> str:
    return _cut([f"{count:,} {name}" for name, count in counts.items()])


def _cut(names: Sequence[str]) -> str:
    """Join names, of which records may have any number of any length."""
    shown = [name if len(name) <= _LONGEST else name[:_LONGEST] + "..." for name in names[:_MOST]]
    others = f" and {human_count(len(names) - _MOST, 'others')}" if len(names) > _MOST else ""
    return ", ".join(shown) + others
