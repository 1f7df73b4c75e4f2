"""A JSONL file: one JSON object on each line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.data.sources.interface import Found, Listing, Sample
from jobs.data.sources.records import split_records
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.recipe.models import Data

MAX_LINE_BYTES = 16 << 20
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonlSource:
    """The objects of a file in UTF-8, each on a line of at most 16 MiB."""

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data

    def list_files(self) -> Listing:
        """The one file, after a look at every line of it."""
        if self._path.suffix not in (".jsonl", ".ndjson"):
            raise InputError(
                "The data source is a file, but not a JSONL file.",
                where=str(self._path),
                fix="name a folder of code, or a file that ends in .jsonl",
            )
        if sum(1 for _ in self._records()) == 0:
            raise InputError("The JSONL file is empty.", where=str(self._path), fix="check the path")
        size = self._path.stat().st_size
        return Listing((Found(self._path.name, sha256_file(self._path), size, "records"),))

    def samples(self, files: Sequence[Found]) -> Iterator[Sample]:
        """A sample for each object."""
        if sha256_file(self._path) != files[0].digest:
            raise InputError(
                "The file has changed since the run was prepared.",
                where=str(self._path),
                fix="restore it, or start a new run",
            )
        yield from split_records(self._records(), self._data.held_out)

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        with self._path.open("rb") as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                where = f"{self._path}, line {number}"
                if len(line) > MAX_LINE_BYTES:
                    raise InputError("A line is longer than 16 MiB.", where=where, fix="split the record")
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    if _SURROGATE.search(line):  # Half of a pair is no text, and JSON lets it pass.
                        json.dumps(record, ensure_ascii=False).encode()
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"A line is not JSON in UTF-8: {error}.", where=where, fix="correct that line"
                    ) from error
                if not isinstance(record, dict):
                    raise InputError("A line is not a JSON object.", where=where, fix="correct that line")
                yield where, record
