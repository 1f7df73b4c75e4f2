"""Rows of one JSON, CSV or text file: every value is the one in the file, of no other type.

A table library would read ``2024-01-01`` as a date, ``007`` as 7 and ``NA`` as nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

from starfreight.console import human_count
from starfreight.errors import InputError
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES

_BOM = b"\xef\xbb\xbf"


def json_rows(stream: IO[bytes], field: str | None) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSONL file, of a JSON list, or of one JSON object.

    Args:
        stream: a binary stream at its start.
        field: the key of the object that holds the rows; ``None`` if the file holds only rows.

    Raises:
        InputError: a line or item is not an object, or is larger than 16 MiB.
    """
    line = _line(stream).removeprefix(_BOM)
    while line and not line.strip():
        line = _line(stream)
    if field is not None or line.lstrip().startswith(b"["):
        yield from _items(_whole(line, stream), field)
        return
    try:
        first = json.loads(line) if line else None
    except (ValueError, RecursionError):
        # Not JSONL: an object on several lines, or a damaged file.
        yield from _items(_whole(line, stream), None)
        return
    while line:
        if line.strip():
            record = first if first is not None else json.loads(line)
            first = None
            if not isinstance(record, dict):
                raise InputError("A line is not a JSON object.", where=None, fix="correct the line")
            yield record
        line = _line(stream)


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline(MAX_RECORD_BYTES + 1)
    if len(line) > MAX_RECORD_BYTES:
        raise InputError(
            "A line needs more than 16 MiB of memory.",
            where=None,
            fix="split the record, or write a JSON list with one record per line as JSONL",
        )
    return line


def _whole(start: bytes, stream: IO[bytes]) -> Any:
    return json.loads(start + stream.read())


def _items(value: Any, field: str | None) -> Iterator[Mapping[str, Any]]:
    if field is not None:
        if not isinstance(value, dict) or field not in value:
            raise InputError(
                f"The file is not a JSON object with the key {field!r}.",
                where=None,
                fix="correct the field in the configurations of README.md",
            )
        value = value[field]
    if isinstance(value, dict):
        columns = list(value.values())
        if columns and all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
            for row in zip(*columns, strict=True):
                yield dict(zip(value, row, strict=True))
        else:
            yield value
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            item = {"text": item}
        if not isinstance(item, dict):
            raise InputError(
                "An item of the list is not a JSON object.", where=None, fix="write each record as an object"
            )
        yield item


def csv_rows(stream: IO[bytes], separator: str) -> Iterator[Mapping[str, str | None]]:
    """Yield the rows of a CSV file with a header; each field is text, an empty one ``None``.

    Raises:
        InputError: a row has more fields than the header, or is larger than 16 MiB.
    """
    csv.field_size_limit(MAX_RECORD_BYTES)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    rows = csv.reader(text, delimiter=separator, strict=True)
    header: list[str] | None = None
    for row in rows:
        if not row:
            continue
        if header is None:
            header = [name or f"Unnamed: {number}" for number, name in enumerate(row)]
            if len(set(header)) != len(header):
                raise InputError(
                    "Two columns of the CSV file have the same name.", where=None, fix="rename one of them"
                )
            continue
        if len(row) > len(header):
            raise InputError(
                f"Line {rows.line_num} of the CSV file has {human_count(len(row), 'fields')}, "
                f"its header {len(header)}.",
                where=None,
                fix='enclose fields that contain a separator in quotation marks (")',
            )
        row += [""] * (len(header) - len(row))
        yield {name: value or None for name, value in zip(header, row, strict=True)}


def text_rows(stream: IO[bytes]) -> Iterator[Mapping[str, str]]:
    """Yield each line of a text file in a column ``text``, without its end."""
    text = io.TextIOWrapper(stream, encoding="utf-8")
    while line := text.readline(MAX_RECORD_BYTES):
        if len(line) >= MAX_RECORD_BYTES:
            raise InputError("A line needs more than 16 MiB of memory.", where=None, fix="split the line")
        yield {"text": line.rstrip("\n")}
