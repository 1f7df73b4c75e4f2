"""Duplicates in the catalogue: equal texts by their keys, near duplicates by their signatures.

Texts are compared with the earlier ones that are kept. Records of instructions are compared after all of
their source are added, since the parts shared by many of them do not count
(:mod:`starfreight.jobs.data.manifest.instruction_duplicates`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from starfreight.jobs.data.filters.interface import AnswerSketch, Finding
from starfreight.jobs.data.manifest.instruction_duplicates import (
    FEWEST_SHARING,
    SAMPLED,
    SharedParts,
    Sketch,
    first_alike,
)
from starfreight.jobs.data.manifest.near_duplicates import BANDS, band_hashes, first_near_duplicate
from starfreight.recipe.data import Filters

_CANDIDATES = 500
"""Texts compared with a new one: those with the most bands in common."""

_FULL_BAND = 64
"""Records of instructions with one band in common; a band of more is that of a shared part."""

_AT_ONCE = 1000

_TABLES = """
CREATE TABLE signatures (number INTEGER PRIMARY KEY, signature BLOB);
CREATE TABLE bands (hash INTEGER, number INTEGER, PRIMARY KEY (hash, number)) WITHOUT ROWID;
CREATE TABLE answers (number INTEGER PRIMARY KEY, key BLOB, signature BLOB);
CREATE INDEX answer_keys ON answers (key);
"""


class Duplicates:
    """The signatures of the samples, and the search among them.

    Args:
        table: the database of the catalogue, with its table of samples.
    """

    def __init__(self, table: sqlite3.Connection) -> None:
        self._table = table
        table.executescript(_TABLES)

    def are_found_later(self, found: Finding, rules: Filters) -> bool:
        """Return true for a sample that :meth:`of_source` compares."""
        return found.rejected_by is None and found.answer is not None and rules.near_duplicates is not False

    def find(self, found: Finding, rules: Filters) -> tuple[str, int] | None:
        """Return the filter and the number of the earlier sample that a new one duplicates."""
        if rules.exact_duplicates and (twin := self._exact(found.key)) is not None:
            return "exact_duplicates", twin
        if rules.near_duplicates is not False and found.signature is not None:
            twin = self._near(found.signature, band_hashes(found.signature), rules.near_duplicates)
            if twin is not None:
                return "near_duplicates", twin
        return None

    def add(self, number: int, found: Finding, *, later: bool) -> None:
        """Add a sample that is kept, or one to be compared later."""
        assert found.signature is not None
        self._table.execute("INSERT INTO signatures VALUES (?, ?)", (number, found.signature))
        if found.answer is not None:
            answer = (number, found.answer.key, found.answer.signature)
            self._table.execute("INSERT INTO answers VALUES (?, ?, ?)", answer)
        if not later:
            self._add_bands(number, band_hashes(found.signature))

    def of_source(self, source: int, rules: Filters, leave_out: Callable[[int, str, int], None]) -> None:
        """Compare the records of a source that were added to be compared later.

        Args:
            source: its number.
            rules: its filters.
            leave_out: called with the number of a sample, the filter and the number of the earlier sample.
        """
        assert rules.near_duplicates is not False
        texts, answers = self._shared_parts(source)
        for record, key in self._records(source):
            bands = band_hashes(record.signature)
            twin = self._exact(key, before=record.number) if rules.exact_duplicates else None
            by = "exact_duplicates"
            if twin is None:
                twin = self._alike(record, bands, rules.near_duplicates, texts, answers)
                by = "near_duplicates"
            if twin is None:
                self._add_bands(record.number, [band for band in bands if not self._is_full(band)])
            else:
                leave_out(record.number, by, twin)

    def _exact(self, key: bytes, before: int | None = None) -> int | None:
        row = self._table.execute(
            "SELECT number FROM samples WHERE key = ? AND filter IS NULL ORDER BY number LIMIT 1", (key,)
        ).fetchone()
        return int(row[0]) if row and (before is None or row[0] < before) else None

    def _near(self, signature: bytes, bands: list[int], threshold: float) -> int | None:
        """Return the first sample whose signature has at least ``threshold`` of the values in common."""
        rows = self._candidates("number, signature", "signatures", bands)
        near = first_near_duplicate(signature, [row[1] for row in rows], threshold) if rows else None
        return None if near is None else int(rows[near][0])

    def _alike(
        self, record: Sketch, bands: list[int], threshold: float, texts: SharedParts, answers: SharedParts
    ) -> int | None:
        rows = self._candidates(
            "number, signatures.signature, answers.key, answers.signature",
            "signatures LEFT JOIN answers USING (number)",
            bands,
        )
        if not rows:
            return None
        others = [_sketch(*row) for row in rows]
        frequent = record.answer is not None and self._is_frequent(record.answer)
        near = first_alike(record, others, threshold, texts, answers, frequent=frequent)
        return None if near is None else others[near].number

    def _candidates(self, columns: str, table: str, bands: list[int]) -> list[tuple[Any, ...]]:
        marks = ", ".join("?" * BANDS)
        return self._table.execute(
            f"SELECT {columns} FROM {table} WHERE number IN (SELECT number FROM bands "
            f"WHERE hash IN ({marks}) GROUP BY number ORDER BY count(*) DESC, number LIMIT {_CANDIDATES}) "
            "ORDER BY number",
            bands,
        ).fetchall()

    def _add_bands(self, number: int, bands: list[int]) -> None:
        self._table.executemany(
            "INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, number) for band in bands]
        )

    def _is_full(self, band: int) -> bool:
        return self._count(f"SELECT 1 FROM bands WHERE hash = ? LIMIT {_FULL_BAND}", band) == _FULL_BAND

    def _is_frequent(self, answer: AnswerSketch) -> bool:
        found = self._count(f"SELECT 1 FROM answers WHERE key = ? LIMIT {FEWEST_SHARING}", answer.key)
        return found == FEWEST_SHARING

    def _count(self, query: str, value: object) -> int:
        return int(self._table.execute(f"SELECT count(*) FROM ({query})", (value,)).fetchone()[0])

    def _shared_parts(self, source: int) -> tuple[SharedParts, SharedParts]:
        """Estimate them from records spread evenly over the source."""
        of_source = "FROM answers JOIN samples USING (number) WHERE source = ?"
        (total,) = self._table.execute(f"SELECT count(*) {of_source}", (source,)).fetchone()
        rows = self._table.execute(
            "SELECT signatures.signature, s.signature FROM (SELECT number, answers.signature, "
            f"row_number() OVER (ORDER BY number) AS place {of_source}) s JOIN signatures USING (number) "
            "WHERE place % ? = 0 ORDER BY number",
            (source, max(1, -(-total // SAMPLED))),
        ).fetchall()
        return SharedParts([row[0] for row in rows]), SharedParts([row[1] for row in rows if row[1]])

    def _records(self, source: int) -> Iterator[tuple[Sketch, bytes]]:
        """Yield the records to compare, with their keys; those already yielded may be changed meanwhile."""
        last = -1
        while True:
            rows = self._table.execute(
                "SELECT number, signatures.signature, answers.key, answers.signature, samples.key "
                "FROM answers JOIN signatures USING (number) JOIN samples USING (number) "
                f"WHERE number > ? AND source = ? ORDER BY number LIMIT {_AT_ONCE}",
                (last, source),
            ).fetchall()
            if not rows:
                return
            for *fields, key in rows:
                yield _sketch(*fields), key
            last = rows[-1][0]


def _sketch(number: int, signature: bytes, key: bytes | None, answer: bytes | None) -> Sketch:
    return Sketch(number, signature, None if key is None else AnswerSketch(key, answer))
