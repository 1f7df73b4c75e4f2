"""Writes ``manifest.json`` and the lists beside it from a catalogue, line by line."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from starfreight.data_manifest import (
    LEFT_OUT_FILE,
    MANIFEST_FILE,
    Count,
    EntryList,
    ManifestEntry,
    SourceSummary,
    first_line,
    json_line,
    last_lines,
    left_out_start,
    source_line,
)
from starfreight.directories import open_without_links
from starfreight.files import disk_errors
from starfreight.jobs.data.manifest.catalogue import Catalogue
from starfreight.jobs.data.manifest.catalogue_entries import CatalogueEntry
from starfreight.public_source import public_source
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

_REASONS = 20
"""Reasons counted one by one for each filter; the rarer ones are counted together."""

_KINDS = 200
"""Licenses and languages counted one by one for each source."""

_OTHER = "others"


def write_manifest(
    catalogue: Catalogue, sources: Sequence[Data], containers: Sequence[Sequence[FileDigest]], folder: Path
) -> FileDigest:
    """Write the contents of the ``data/`` directory of a run into ``folder``, synced to the disk.

    Args:
        catalogue: after the split.
        sources: of the recipe.
        containers: for each source the files of its records; empty for a source of files.
        folder: an existing, empty directory.

    Returns:
        name, digest and size of the manifest.

    Raises:
        ServiceError: the disk is full.
    """
    with disk_errors(folder):
        left_out = _write_left_out(catalogue, folder)
        with _DigestedFile(folder / MANIFEST_FILE) as lines:
            lines.write(first_line())
            for number, data in enumerate(sources):
                entries: Iterable[bytes] = map(_entry_line, catalogue.kept(number))
                records = None
                if containers[number]:
                    records = _write_records(entries, folder / f"records-{number}.jsonl")
                    entries = (json_line(_container(file)) for file in containers[number])
                lines.write(source_line(summary_of(catalogue, number, data, records)))
                _write_entries(lines, entries)
                lines.write(b"]},\n" if number < len(sources) - 1 else b"]}\n")
            lines.write(last_lines(left_out))
        return FileDigest(path=MANIFEST_FILE, digest=lines.digest, size=lines.size)


class _DigestedFile:
    """A file hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.size = self.count = 0

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def write(self, line: bytes) -> None:
        self._stream.write(line)
        self._hash.update(line)
        self.size += len(line)
        self.count += 1

    def listed(self) -> EntryList:
        return EntryList(path=self._path.name, digest=self.digest, size=self.size, entries=self.count)

    def __enter__(self) -> _DigestedFile:
        self._stream = open(self._path, "wb", opener=open_without_links)
        return self

    def __exit__(self, *exception: object) -> None:
        with self._stream:
            self._stream.flush()
            os.fsync(self._stream.fileno())


def _write_left_out(catalogue: Catalogue, folder: Path) -> EntryList:
    with _DigestedFile(folder / LEFT_OUT_FILE) as lines:
        for each in catalogue.left_out():
            line: dict[str, Any] = {"name": each.name, "filter": each.filter, "detail": each.detail}
            if each.twin:
                line["twin"] = {"source": each.twin[0], "name": each.twin[1]}
            lines.write(left_out_start(each.source) + json_line(line)[1:] + b"\n")
    return lines.listed()


def _write_records(entries: Iterable[bytes], path: Path) -> EntryList:
    with _DigestedFile(path) as lines:
        for entry in entries:
            lines.write(entry + b"\n")
    return lines.listed()


def _write_entries(lines: _DigestedFile, entries: Iterable[bytes]) -> None:
    """Write one entry per line, with commas between them."""
    ahead = iter(entries)
    line = next(ahead, None)
    while line is not None:
        following = next(ahead, None)
        lines.write(line + (b"\n" if following is None else b",\n"))
        line = following


def _entry_line(entry: CatalogueEntry) -> bytes:
    return json_line(
        {
            "path": entry.name,
            "digest": entry.digest,
            "size": entry.size,
            "swhid": entry.swhid,
            "license": entry.license,
            "repository": entry.repository,
            "commit": entry.commit,
            "language": entry.language,
            "split": "held_out" if entry.held_out else "train",
        }
    )


def _container(file: FileDigest) -> dict[str, object]:
    return ManifestEntry(path=file.path, digest=file.digest, size=file.size, split="records").model_dump()


def summary_of(
    catalogue: Catalogue, number: int, data: Data, records: EntryList | None = None
) -> SourceSummary:
    """Return the counts of a source, after the split.

    Args:
        catalogue: with all samples.
        number: of the source, from 0.
        data: the source.
        records: the list of its records used; ``None`` for a source of files.
    """
    totals = catalogue.totals(number)
    left_out: dict[str, dict[str, int]] = {}
    for by, found in itertools.groupby(catalogue.reasons(number), key=lambda row: row[0]):
        counts: dict[str, int] = {}
        for position, (_, detail, count) in enumerate(found):
            name = detail if position < _REASONS else _OTHER
            counts[name] = counts.get(name, 0) + count
        left_out[by] = counts
    return SourceSummary(
        source=public_source(data.source),
        revision=data.revision,
        format=data.format,
        license=data.license,
        weight=data.weight,
        repositories=catalogue.repositories(number),
        found=catalogue.found(number),
        train=Count(samples=totals[False][0], bytes=totals[False][1]),
        held_out=Count(samples=totals[True][0], bytes=totals[True][1]),
        left_out=left_out,
        licenses=_counts(catalogue.kept_by(number, "license"), "NOASSERTION"),
        languages=_counts(catalogue.kept_by(number, "language"), "unknown"),
        replaced=catalogue.replaced(number),
        notes=catalogue.notes(number),
        records=records,
    )


def _counts(rows: Iterable[tuple[str | None, int, int]], unknown: str) -> dict[str, Count]:
    counts: dict[str, Count] = {}
    for position, (name, samples, size) in enumerate(rows):
        name = (name or unknown) if position < _KINDS else _OTHER
        before = counts.get(name, Count(samples=0, bytes=0))
        counts[name] = Count(samples=before.samples + samples, bytes=before.bytes + size)
    return counts
