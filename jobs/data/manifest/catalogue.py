"""The table of all samples of a recipe during its preparation: finds duplicates and holds out samples.

It is a SQLite file, so that memory does not grow with the data; only :data:`_CACHE` of it is cached. Samples
are added in the order of the recipe and of their sources, and the first of several duplicates is kept. The
file is temporary: no other command reads it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from starfreight.files import disk_errors
from starfreight.jobs.data.dialects.describe import ConversationCounts
from starfreight.jobs.data.filters.conversation import ConversationFilter
from starfreight.jobs.data.filters.interface import Finding
from starfreight.jobs.data.manifest.catalogue_entries import CatalogueEntry, LeftOutSample
from starfreight.jobs.data.manifest.conversation_tally import ConversationTally
from starfreight.jobs.data.manifest.duplicates import Duplicates
from starfreight.jobs.data.sources.interface import Unusable
from starfreight.recipe.data import Data

_CACHE = 64 << 10
"""KiB of the file that SQLite caches in memory."""

_TABLES = """
CREATE TABLE samples (
    number INTEGER PRIMARY KEY, source INTEGER, name TEXT, digest TEXT, size INTEGER, swhid TEXT, path TEXT,
    repository TEXT, "commit" TEXT, license TEXT, language TEXT, replaced TEXT, key BLOB,
    filter TEXT, detail TEXT, twin INTEGER, unit TEXT, held_out INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX kept_keys ON samples (key) WHERE filter IS NULL AND key IS NOT NULL;
CREATE TABLE units (source INTEGER, name TEXT, hash BLOB, PRIMARY KEY (source, hash, name)) WITHOUT ROWID;
"""


class Catalogue:
    """All samples of a recipe, to be used in a ``with`` block, which closes the file.

    Args:
        path: of the file, which does not exist yet.
        sources: of the recipe, in order.
    """

    def __init__(self, path: Path, sources: Sequence[Data]) -> None:
        self._sources = sources
        self._path = path
        self._count = 0
        # Only this process uses the file, and an incomplete one is deleted, so durability is not needed.
        with disk_errors(path):
            self._table = sqlite3.connect(path, isolation_level=None)
            for pragma in (f"cache_size = -{_CACHE}", "journal_mode = OFF", "synchronous = OFF",
                           "locking_mode = EXCLUSIVE", "temp_store = FILE"):  # fmt: skip
                self._table.execute(f"PRAGMA {pragma}")
            self._table.create_function("sha256", 1, _sha256, deterministic=True)
            self._table.executescript(_TABLES)
        self._duplicates = Duplicates(self._table)
        self._undecided: int | None = None
        """The source with records whose duplicates are found when all of them are there."""
        self._tally = ConversationTally()
        self._table.execute("BEGIN")

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *exception: object) -> None:
        self._table.close()

    def add(self, source: int, found: Finding | Unusable) -> None:
        """Add the next sample of a source, unless it is a duplicate.

        Sources are added one after another, in the order of the recipe.

        Raises:
            ServiceError: the disk is full.
        """
        with disk_errors(self._path):
            if self._undecided not in (None, source):
                self._decide()
            if isinstance(found, Unusable):
                self._table.execute(
                    "INSERT INTO samples (source, name, size, filter, detail) "
                    "VALUES (?, ?, 0, 'unusable', ?)",
                    (source, found.name, found.reason),
                )
            else:
                self._add_finding(source, found)
            self._count += 1

    def split(self, records: Sequence[bool]) -> None:
        """Choose the samples to hold out, after all samples are added.

        A source with several repositories is split by repository, any other by file or record; equal texts
        of a source are always in the same split. The choice depends on the names alone (for a record, on its
        text), so that adding or removing a file moves few others. Held-out texts are not trained on
        from another source.

        Args:
            records: for each source, true if it consists of records.
        """
        with disk_errors(self._path):
            self._decide()
            for number, data in enumerate(self._sources):
                self._name_units(number, is_records=records[number])
                units = self._one("SELECT count(*) FROM units WHERE source = ?", number)
                self._table.execute(
                    "UPDATE samples SET held_out = 1 WHERE source = ?1 AND filter IS NULL AND unit IN "
                    "(SELECT name FROM units WHERE source = ?1 ORDER BY hash, name LIMIT ?2)",
                    (number, held_out_count(units, data.held_out)),
                )
            self._table.execute(
                "CREATE TABLE apart AS SELECT DISTINCT key FROM samples WHERE held_out AND key IS NOT NULL"
            )
            self._table.execute("CREATE INDEX apart_keys ON apart (key)")
            self._table.execute(
                "UPDATE samples SET filter = 'held_out', detail = 'the same text is held out' "
                "WHERE filter IS NULL AND NOT held_out AND key IN (SELECT key FROM apart)"
            )

    def kept(self, source: int) -> Iterator[CatalogueEntry]:
        """Yield the samples kept from a source, in order."""
        rows = self._table.execute(
            'SELECT name, digest, size, swhid, license, repository, "commit", language, held_out '
            "FROM samples WHERE source = ? AND filter IS NULL ORDER BY number",
            (source,),
        )
        for name, digest, size, swhid, license_name, repository, commit, language, held_out in rows:
            yield CatalogueEntry(
                name, digest, size, swhid, license_name, repository, commit, language, bool(held_out)
            )

    def left_out(self) -> Iterator[LeftOutSample]:
        """Yield the samples left out, in order."""
        rows = self._table.execute(
            "SELECT a.source, a.name, a.filter, a.detail, b.source, b.name FROM samples a "
            "LEFT JOIN samples b ON b.number = a.twin WHERE a.filter IS NOT NULL ORDER BY a.number"
        )
        for source, name, by, detail, twin_source, twin in rows:
            yield LeftOutSample(source, name, by, detail, None if twin is None else (twin_source, twin))

    def reasons(self, source: int) -> Iterator[tuple[str, str, int]]:
        """Yield the number of samples of a source left out, by filter and reason, the most frequent first."""
        return iter(
            self._table.execute(
                "SELECT filter, detail, count(*) FROM samples WHERE source = ? AND filter IS NOT NULL "
                "GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2",
                (source,),
            )
        )

    def totals(self, source: int) -> dict[bool, tuple[int, int]]:
        """Return the number and bytes of the samples kept, for those held out (``True``) and the others."""
        rows = self._table.execute(
            "SELECT held_out, count(*), sum(size) FROM samples "
            "WHERE source = ? AND filter IS NULL GROUP BY 1",
            (source,),
        )
        found = {bool(held_out): (count, size) for held_out, count, size in rows}
        return {held_out: found.get(held_out, (0, 0)) for held_out in (False, True)}

    def kept_by(
        self, source: int, column: Literal["license", "language"]
    ) -> Iterator[tuple[str | None, int, int]]:
        """Yield the number and bytes of the samples kept, by license or language, the most bytes first."""
        return iter(
            self._table.execute(
                f"SELECT {column}, count(*), sum(size) FROM samples WHERE source = ? AND filter IS NULL "
                "GROUP BY 1 ORDER BY 3 DESC, 1",
                (source,),
            )
        )

    def found(self, source: int) -> int:
        """Return the number of samples of a source, including those left out."""
        return self._one("SELECT count(*) FROM samples WHERE source = ?", source)

    def repositories(self, source: int) -> int:
        """Return the number of repositories among the samples kept from a source."""
        return self._one(
            "SELECT count(DISTINCT repository) FROM samples WHERE source = ? AND filter IS NULL", source
        )

    def replaced(self, source: int) -> dict[str, int]:
        """Return the number of redactions in the samples kept, by kind."""
        rows = self._table.execute(
            "SELECT j.key, sum(j.value) FROM samples, json_each(replaced) j "
            "WHERE source = ? AND filter IS NULL AND replaced IS NOT NULL GROUP BY 1 ORDER BY 1",
            (source,),
        )
        return {str(kind): int(count) for kind, count in rows}

    def notes(self, source: int) -> dict[str, int]:
        """Return the notes on the samples read, with their numbers, in alphabetical order."""
        return self._tally.notes(source)

    def conversations(self, source: int) -> ConversationCounts:
        """Return the counts of the records of instructions."""
        reasons = self.reasons(source)
        return self._tally.counts(
            source, {reason: count for by, reason, count in reasons if by == ConversationFilter.name}
        )

    def _add_finding(self, source: int, found: Finding) -> None:
        rules = self._sources[source].filters
        by, detail, twin = found.rejected_by, found.detail, None
        later = self._duplicates.are_found_later(found, rules)
        if by is None:
            self._tally.add(source, found)
            if not later and (duplicate := self._duplicates.find(found, rules)):
                by, twin = duplicate
                detail = self._origin(source, twin)
        cursor = self._table.execute(
            'INSERT INTO samples (source, name, digest, size, swhid, path, repository, "commit", license, '
            "language, replaced, key, filter, detail, twin) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (source, found.sample_name, found.digest, found.size, found.swhid, found.path, found.repository,
             found.commit, found.license, found.language,
             json.dumps(found.replaced) if found.replaced else None, found.key, by, detail, twin),
        )  # fmt: skip
        if by is None and found.signature is not None:
            assert cursor.lastrowid is not None
            self._duplicates.add(cursor.lastrowid, found, later=later)
        if later:
            self._undecided = source

    def _decide(self) -> None:
        """Find the duplicates among the records of the last source."""
        source, self._undecided = self._undecided, None
        if source is None:
            return

        def leave_out(number: int, by: str, twin: int) -> None:
            self._table.execute(
                "UPDATE samples SET filter = ?, detail = ?, twin = ? WHERE number = ?",
                (by, self._origin(source, twin), twin, number),
            )

        self._duplicates.of_source(source, self._sources[source].filters, leave_out)

    def _origin(self, source: int, twin: int) -> str:
        same = self._one("SELECT source FROM samples WHERE number = ?", twin) == source
        return "of one in this source" if same else "of one in an earlier source"

    def _name_units(self, source: int, *, is_records: bool) -> None:
        """Set the unit of each sample for the split: its repository, its text, or the first equal file."""
        own = (
            "lower(hex(key))"
            if is_records
            else "(SELECT b.name FROM samples b WHERE b.key = samples.key AND b.source = samples.source "
            "AND b.filter IS NULL ORDER BY b.number LIMIT 1)"
        )
        unit = f"coalesce(repository, {own})" if self.repositories(source) > 1 else own
        self._table.execute(
            f"UPDATE samples SET unit = {unit} WHERE source = ? AND filter IS NULL", (source,)
        )
        self._table.execute(
            "INSERT OR IGNORE INTO units SELECT source, unit, sha256(unit) FROM samples "
            "WHERE source = ? AND filter IS NULL",
            (source,),
        )

    def _one(self, query: str, *values: int) -> int:
        return int(self._table.execute(query, values).fetchone()[0])


def held_out_count(units: int, fraction: float) -> int:
    """Return the number of units to hold out: at least one of two or more, but never all."""
    if fraction == 0 or units < 2:
        return 0
    return min(max(1, round(units * fraction)), units - 1)


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
