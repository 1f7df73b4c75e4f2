"""The figures of a run, one JSON object per line: ``metrics.jsonl``."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from starfreight.directories import open_without_links
from starfreight.files import atomic_write, open_regular

_MAX_LINE = 1 << 16
"""Bytes of a row; one of ours has a few hundred."""


class Metrics:
    """Appends rows, each with its ``step``, and drops the rows of steps to be repeated.

    TensorBoard gets the same figures where it is installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._board: Any = None

    def begin_after(self, step: int) -> None:
        """Drop the rows of steps after ``step``, and an incomplete last row."""
        with atomic_write(self.path) as stream:
            for row in read_metrics(self.path):
                if row["step"] <= step:
                    stream.write(json.dumps(row).encode() + b"\n")
        self._board = _tensorboard(self.path.parent / "tensorboard", step)

    def add(self, step: int, **figures: float) -> None:
        """Append one row."""
        with open(self.path, "a", encoding="utf-8", opener=open_without_links) as stream:
            stream.write(json.dumps({"step": step, **figures}) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what TensorBoard's writer still holds in memory."""
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: Path, done: int) -> Any:
    """A TensorBoard writer, ``None`` where TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=done + 1)


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, which may still be growing or not exist yet.

    Lines that are not rows of figures are left out, and so are values that are not numbers: the training
    process, or another person's run, may have written anything.

    Raises:
        InputError: the file is a link, a pipe or a device.
    """
    try:
        with open_regular(path, "file of metrics", follow=False) as stream:
            for line in _short_lines(stream):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict) and _is_figure(row.get("step")) and isinstance(row["step"], int):
                    yield {name: value for name, value in row.items() if _is_figure(value)}
    except FileNotFoundError:
        return


def _short_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of at most ``_MAX_LINE`` bytes."""
    whole = True
    while line := stream.readline(_MAX_LINE):
        begins, whole = whole, line.endswith(b"\n")
        if begins and (whole or len(line) < _MAX_LINE):
            yield line


def _is_figure(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 1 << 63
    return isinstance(value, float)
