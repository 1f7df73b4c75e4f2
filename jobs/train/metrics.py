"""The figures of a run, one JSON object per line: ``metrics.jsonl``."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starfreight.files import write_bytes


class Metrics:
    """Appends rows, each with its ``step``, and drops the rows of steps to be repeated.

    TensorBoard gets the same figures where it is installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._board: Any = None

    def begin_after(self, step: int) -> None:
        """Drop the rows of steps after ``step``, and an incomplete last row."""
        kept = [row for row in read_metrics(self.path) if row["step"] <= step]
        write_bytes(self.path, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self._board = _tensorboard(self.path.parent / "tensorboard", step)

    def add(self, step: int, **figures: float) -> None:
        """Append one row."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **figures}) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)


def _tensorboard(folder: Path, done: int) -> Any:
    """A TensorBoard writer, ``None`` where TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=done + 1)


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, which may still be growing or not exist yet."""
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
