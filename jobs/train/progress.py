"""Progress of a training job, from the figures in its run's directory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starfreight.console import time_in_words
from starfreight.jobs.kinds.interface import Figures
from starfreight.run import BLOCKS_FILE, METRICS_FILE, Run

_ROWS = 50
"""Number of last steps that the speed is measured over."""
_LARGEST = float(1 << 53)
_SLOWEST = 1e-6
"""Bounds of figures: others can write to the directory of a run."""


@dataclass(frozen=True)
class Progress:
    """Progress of training.

    Attributes:
        step: the last finished step.
        steps: total, known once the data has been made.
        loss: of the last step, in nats per token.
        held_out_loss: of the result once there is one, otherwise the last one measured.
        held_out_when: completes "held out, ...".
        checkpoint: step of the newest checkpoint.
        tokens_per_second: over the last steps.
        seconds_left: at that rate, for the steps alone.
    """

    step: int = 0
    steps: int | None = None
    loss: float | None = None
    held_out_loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    held_out_when: str = ""
    checkpoint: int | None = None
    finished: bool = False

    def figures(self, *, active: bool) -> Figures:
        """For ``jobs status``: the time left of an active job, the checkpoint of an interrupted one."""
        total = f" of {self.steps:,}" if self.steps is not None else ""
        rows = [("step", f"{self.step:,}{total}")]
        if self.loss is not None:
            rows.append(("loss", f"{self.loss:.3f} nats per token"))
        if self.held_out_loss is not None:
            rows.append(("held out", f"{self.held_out_loss:.3f} nats per token, {self.held_out_when}"))
        if self.tokens_per_second is not None:
            rows.append(("speed", f"{self.tokens_per_second:,.0f} tokens/s"))
        if self.seconds_left is not None and active:
            rows.append(("left", f"{time_in_words(self.seconds_left)} of training"))
        if not active and not self.finished:
            rows.append(("kept", checkpoint_in_words(self.checkpoint)))
        names = ("step", "steps", "loss", "held_out_loss", "tokens_per_second", "seconds_left")
        data = asdict(self)
        return Figures({name: data[name] for name in names}, tuple(rows))


def checkpoint_in_words(step: int | None) -> str:
    """The checkpoint that a resumed job continues from."""
    return "no checkpoint yet" if step is None else f"the checkpoint of step {step:,}"


def progress_of(folder: Path, run: Run) -> Progress:
    """Progress of a run, from its directory and its record."""
    from starfreight.jobs.data.blocks.block_file import BlocksRecord
    from starfreight.jobs.train import checkpoints
    from starfreight.jobs.train.metrics import read_metrics

    training = run.recipe.training
    blocks_in_step = training.batch_size * training.gradient_accumulation
    described = (folder / BLOCKS_FILE).with_suffix(".json")
    steps = BlocksRecord.load(described).train // blocks_in_step if described.exists() else None
    if run.outcome is not None:
        steps = run.outcome.steps  # It may have stopped early.
    steps = steps if steps is not None and steps < _LARGEST else None
    done: list[tuple[int, float]] = []
    speeds: list[float | None] = []
    held_out, held_out_when = None, ""
    for row in read_metrics(folder / METRICS_FILE):
        step = row["step"]
        if not 0 <= step < _LARGEST:
            continue
        loss, measured = _figure(row, "loss"), _figure(row, "held_out_loss")
        if loss is not None:
            done.append((step, loss))
            speeds.append(_figure(row, "tokens_per_second"))
        if measured is not None:
            held_out, held_out_when = measured, f"after step {step:,}"
    if run.outcome is not None and run.outcome.after is not None:
        held_out, held_out_when = run.outcome.after.loss, "after training"
    rates = [each for each in speeds[-_ROWS:] if each is not None and each > _SLOWEST]
    # The mean of times, not of rates: a slow step takes longer.
    rate = len(rates) / sum(1 / each for each in rates) if rates else None
    left = None
    if done and steps is not None and rate:
        left = max(0, steps - done[-1][0]) * blocks_in_step * training.sequence_length / rate
    return Progress(
        step=done[-1][0] if done else 0,
        steps=steps,
        loss=done[-1][1] if done else None,
        held_out_loss=held_out,
        tokens_per_second=rate,
        seconds_left=left,
        held_out_when=held_out_when,
        checkpoint=checkpoints.newest_step(folder / "checkpoints"),
        finished=run.status == "done",
    )


def _figure(row: Mapping[str, Any], name: str) -> float | None:
    """A figure of a row, ``None`` unless it is a number that can be computed with."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # The bound first: a larger whole number does not fit a float.
    return value if abs(value) < _LARGEST and math.isfinite(value) else None
