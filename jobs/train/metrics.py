"""The figures of a run as they come, one JSON object a line: ``metrics.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starfreight.files import write_bytes


class Metrics:
    """Adds rows, each with the ``step`` it belongs to, and forgets those that are done again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin_after(self, step: int) -> None:
        """Drops the rows of steps after ``step``, and a last row that was not written to its end."""
        kept = [row for row in read_metrics(self._path) if row["step"] <= step]
        write_bytes(self._path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def add(self, step: int, **figures: float) -> None:
        """Writes one row."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **figures}) + "\n")


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file that may still be written to, or may not be there yet."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                yield row
