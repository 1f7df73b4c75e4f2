"""A JSONL file: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES
from starfreight.jobs.data.sources.record_file import RecordFile, RecordFileKind


class JsonlFile(RecordFile):
    """The objects of a file in UTF-8, each on a line of at most 16 MiB; a record is numbered by its line."""

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        with open_regular(self._path, "JSONL file") as stream:
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
                        f"A line is not JSON in UTF-8: {error}.", where=where, fix="correct the line"
                    ) from error
                if not isinstance(record, dict):
                    raise InputError("A line is not a JSON object.", where=where, fix="correct the line")
                yield f"{self._path.name}:{number}", record


JSONL = RecordFileKind((".jsonl", ".ndjson"), JsonlFile)
