"""Differences between a resumed run and an uninterrupted one, in words for the log."""

from __future__ import annotations

from pathlib import Path

from starfreight.console import human_count
from starfreight.jobs.protocol import events
from starfreight.jobs.train.checkpoints import GENERATOR_STATES, step_of
from starfreight.jobs.train.metrics import read_metrics


def say_differences(checkpoint: Path, metrics: Path, count: int) -> None:
    """Note in the log why the adapter will not have the bytes of an uninterrupted run, if it will not.

    Args:
        checkpoint: a sealed checkpoint, which training resumes from.
        metrics: ``metrics.jsonl`` of the run.
        count: number of processes that train from here on.
    """
    step = step_of(checkpoint)
    before = _process_count(checkpoint, metrics, step)
    if before is not None and before != count:
        events.send(
            "note",
            text=f"Resuming after step {step:,} with {_in_words(count)} instead of {_in_words(before)}: the "
            "blocks, their order and dropout are the same, only sums are rounded differently",
        )
    if any(checkpoint.glob(GENERATOR_STATES)):
        events.send(
            "note",
            text=f"The checkpoint of step {step:,} is by an earlier version of Starfreight: from here on, "
            "dropout differs from that of a run without interruption",
        )


def _process_count(checkpoint: Path, metrics: Path, step: int) -> int | None:
    """Number of processes that trained up to a checkpoint; ``None`` if it is unknown."""
    for row in read_metrics(metrics):
        if row["step"] == step and isinstance(row.get("processes"), int):
            return int(row["processes"])
    return len(list(checkpoint.glob(GENERATOR_STATES))) or None


def _in_words(count: int) -> str:
    return human_count(count, "processes")
