"""JSON files of records: JSONL with one object per line, and a list of objects; also compressed."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any, ClassVar

from starfreight.errors import InputError
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES
from starfreight.jobs.data.sources.compressed import COMPRESSED, open_records
from starfreight.jobs.data.sources.json_list import read_list
from starfreight.jobs.data.sources.record_file import RecordFile, RecordFileKind

_MOST_BLANK = 1_000_000
"""Empty lines of a file; a small compressed one can unpack to any number of them."""
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class JsonlFile(RecordFile):
    """The objects of a file in UTF-8, each on a line of at most 16 MiB; a record is numbered by its line."""

    _fix: ClassVar[str] = "correct the line"

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        with open_records(self._path, "JSONL file") as stream:
            yield from self._lines(stream)

    def _lines(self, stream: IO[bytes]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        number = blank = 0
        while line := stream.readline(MAX_RECORD_BYTES + 1):
            number += 1
            where = f"{self._path}, line {number}"
            if len(line) > MAX_RECORD_BYTES:
                raise InputError("A line is longer than 16 MiB.", where=where, fix="split the record")
            if not line.strip():
                blank += 1
                if blank > _MOST_BLANK:
                    raise InputError(
                        f"The file has more than {_MOST_BLANK:,} empty lines.",
                        where=where,
                        fix="check that this is the right file",
                    )
                continue
            try:
                record = json.loads(line.removeprefix(_BOM) if number == 1 else line)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"A line is not JSON in UTF-8: {error}.", where=where, fix=self._fix_of(line)
                ) from error
            if not isinstance(record, dict):
                raise InputError("A line is not a JSON object.", where=where, fix=self._fix_of(line))
            yield f"{self._path.name}:{number}", record

    def _fix_of(self, line: bytes) -> str:
        """Return the next step for a line that is not an object."""
        if line.startswith(_UTF_16):
            return "convert the file, which is in UTF-16, to UTF-8"
        line = line.removeprefix(_BOM).strip()
        if line.startswith(b"[") and self._path.suffix not in (".json", ".gz", ".zst"):
            return f"{self._fix}; if the file is one list of objects, let its name end in .json"
        return f"{self._fix}: there is a comma after the object" if line.endswith(b"},") else self._fix


class JsonFile(JsonlFile):
    """A file with a list of objects, numbered from 1, or with one object per line."""

    _fix: ClassVar[str] = "write a list of objects, or one object per line"

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        with open_records(self._path, "JSON file") as stream:
            is_list = _first_byte(stream) == b"["
        with open_records(self._path, "JSON file") as stream:
            if not is_list:
                yield from self._lines(stream)
                return
            for number, record in enumerate(read_list(stream, str(self._path)), 1):
                yield f"{self._path.name}:{number}", record


def _first_byte(stream: IO[bytes]) -> bytes:
    """Return the first byte that is neither white space nor of a byte order mark; empty without one."""
    while data := stream.read(4096):
        if start := data.removeprefix(_BOM).lstrip():
            return start[:1]
    return b""


JSONL = RecordFileKind(tuple(name + end for name in (".jsonl", ".ndjson") for end in COMPRESSED), JsonlFile)
JSON = RecordFileKind(tuple(".json" + end for end in COMPRESSED), JsonFile)
