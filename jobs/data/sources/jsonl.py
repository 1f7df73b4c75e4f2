"""A JSONL file: one JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.records import MAX_RECORD_BYTES, container, read_records
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

SUFFIXES = (".jsonl", ".ndjson")


class JsonlSource:
    """The objects of a file in UTF-8, each on a line of at most 16 MiB."""

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data

    def containers(self) -> tuple[FileDigest, ...]:
        """The one file."""
        size = self._path.stat().st_size
        return (container(self._path.name, sha256_file(self._path), size, str(self._path)),)

    def samples(self) -> Iterator[Sample | Unusable]:
        """A sample for each object, called ``pairs.jsonl:12`` after its line."""
        return read_records(self._records(), self._data, str(self._path))

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        with self._path.open("rb") as stream:
            number = 0
            while line := stream.readline(MAX_RECORD_BYTES + 1):
                number += 1
                where = f"{self._path}, line {number}"
                if len(line) > MAX_RECORD_BYTES:
                    raise InputError("A line is longer than 16 MiB.", where=where, fix="split the record")
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"A line is not JSON in UTF-8: {error}.", where=where, fix="correct that line"
                    ) from error
                if not isinstance(record, dict):
                    raise InputError("A line is not a JSON object.", where=where, fix="correct that line")
                yield f"{self._path.name}:{number}", record
