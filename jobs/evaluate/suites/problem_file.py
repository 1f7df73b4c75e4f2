"""Reads files of problems: JSON lines, a JSON list or Parquet, plain or compressed, untrusted and bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.data.decompress import decompressed
from starfreight.strict_json import strict_loads

_LONGEST_LINE = 1 << 20
_LARGEST_LIST = 64 << 20
_MOST_PROBLEMS = 100_000
BOM = b"\xef\xbb\xbf"
"""Windows programs write it at the start of a file; JSON has none."""


def read_problems(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Reads the records of a file.

    Args:
        path: a ``.jsonl``, ``.json`` or ``.parquet`` file; the former may be compressed (``.gz``, ``.bz2``,
            ``.xz``, ``.zst``, ``.lz4``).
        keys: names that each record must have, with text as their value.

    Raises:
        InputError: not such a file, or not such records; names the line.
    """
    for number, (where, record) in enumerate(_records(path), 1):
        if number > _MOST_PROBLEMS:
            raise InputError(
                f"The file has more than {_MOST_PROBLEMS:,} problems.",
                where=str(path),
                fix="use a smaller file",
            )
        yield checked_record(record, keys, where)


def checked_record(record: Any, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """A record with text at all of some keys.

    Raises:
        InputError: it is not one.
    """
    if not isinstance(record, Mapping):
        raise InputError("A problem is not a JSON object.", where=where, fix="write one JSON object a line")
    for key in keys:
        if not isinstance(record.get(key), str):
            raise InputError(
                f"A problem has no text at {key!r}.",
                where=where,
                fix=f"use a file of the right suite; each record needs {', '.join(keys)}",
            )
    return dict(record)


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix.lower() == ".parquet":
        from starfreight.jobs.data.rows.process import process_rows

        for number, row in enumerate(process_rows("parquet", path, ""), 1):
            yield f"{path}, row {number}", row
        return
    with open_regular(path, "file of problems") as stream:
        opened = decompressed(stream, path)
        if ".json" in [each.lower() for each in path.suffixes]:
            yield from _listed(opened, path)
        else:
            yield from _lines(opened, path)


def _lines(stream: IO[bytes], path: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    while line := stream.readline(_LONGEST_LINE + 1):
        number += 1
        where = f"{path}, line {number}"
        if len(line) > _LONGEST_LINE:
            raise InputError("A problem is longer than 1 MiB.", where=where, fix="shorten or remove it")
        line = line.removeprefix(BOM) if number == 1 else line
        if line.strip():
            yield where, _parsed(line, where, "write one JSON object a line")


def _listed(stream: IO[bytes], path: Path) -> Iterator[tuple[str, Any]]:
    """The members of a JSON list; a ``.json`` file may hold JSON lines, too."""
    data = stream.read(_LARGEST_LIST + 1)
    if len(data) > _LARGEST_LIST:
        raise InputError(
            "The file of problems is larger than 64 MiB.", where=str(path), fix="convert it to JSON lines"
        )
    data = data.removeprefix(BOM)
    if data.lstrip()[:1] != b"[":
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                where = f"{path}, line {number}"
                yield where, _parsed(line, where, "write a JSON list, or one JSON object a line")
        return
    for number, record in enumerate(_parsed(data, str(path), "write a JSON list of objects"), 1):
        yield f"{path}, item {number}", record


def _parsed(data: bytes, where: str, fix: str) -> Any:
    try:
        return strict_loads(data)
    except ValueError as error:
        raise InputError(f"A problem is not valid JSON: {error}.", where=where, fix=fix) from error
