"""Reads files of problems: JSON lines, plain or compressed, untrusted and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.data.decompress import decompressed
from starfreight.strict_json import strict_loads

_LONGEST_LINE = 1 << 20
_MOST_PROBLEMS = 100_000


def read_problems(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Reads the records of a file.

    Args:
        path: a ``.jsonl`` file, or a compressed one (``.gz``, ``.bz2``, ``.xz``, ``.zst``, ``.lz4``).
        keys: names that each record must have, with text as their value.

    Raises:
        InputError: not such a file, or not such records; names the line.
    """
    with open_regular(path, "file of problems") as stream:
        lines = decompressed(stream, path)
        for number in range(1, _MOST_PROBLEMS + 1):
            line = lines.readline(_LONGEST_LINE + 1)
            if not line:
                return
            if line.strip():
                yield _record(line, keys, f"{path}, line {number}")
    raise InputError(
        f"The file has more than {_MOST_PROBLEMS:,} problems.", where=str(path), fix="use a smaller file"
    )


def _record(line: bytes, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    if len(line) > _LONGEST_LINE:
        raise InputError("A problem is longer than 1 MiB.", where=where, fix="shorten or remove it")
    try:
        record = strict_loads(line)
    except ValueError as error:
        raise InputError(
            f"A problem is not valid JSON: {error}.", where=where, fix="write one JSON object a line"
        ) from error
    if not isinstance(record, dict):
        raise InputError("A problem is not a JSON object.", where=where, fix="write one JSON object a line")
    for key in keys:
        if not isinstance(record.get(key), str):
            raise InputError(
                f"A problem has no text at {key!r}.",
                where=where,
                fix=f"use a file of the right suite; each record needs {', '.join(keys)}",
            )
    return record
