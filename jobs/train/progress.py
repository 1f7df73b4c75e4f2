"""Progress of a training job, from the figures in its run's directory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from starfreight.console import time_in_words
from starfreight.jobs.kinds.interface import Figures
from starfreight.run import BLOCKS_FILE, METRICS_FILE, Run

_ROWS = 50
"""Number of last steps that the speed is measured over."""


@dataclass(frozen=True)
class Progress:
    """Progress of training.

    Attributes:
        step: the last finished step.
        steps: total, known once the data has been made.
        loss: of the last step, in nats per token.
        held_out_loss: the last one measured.
        tokens_per_second: over the last steps.
        seconds_left: at that rate, for the steps alone.
    """

    step: int = 0
    steps: int | None = None
    loss: float | None = None
    held_out_loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None

    def figures(self, *, active: bool) -> Figures:
        """For ``jobs status``; the time left only while the job is active."""
        total = f" of {self.steps:,}" if self.steps is not None else ""
        rows = [("step", f"{self.step:,}{total}")]
        if self.loss is not None:
            held_out = f", held out {self.held_out_loss:.3f}" if self.held_out_loss is not None else ""
            rows.append(("loss", f"{self.loss:.3f} nats per token{held_out}"))
        if self.tokens_per_second is not None:
            rows.append(("speed", f"{self.tokens_per_second:,.0f} tokens/s"))
        if self.seconds_left is not None and active:
            rows.append(("left", f"{time_in_words(self.seconds_left)} of training"))
        return Figures(asdict(self), tuple(rows))


def progress_of(folder: Path, run: Run) -> Progress:
    """Progress of a run, from its directory and its record."""
    from starfreight.jobs.data.blocks.block_file import BlocksRecord
    from starfreight.jobs.train.metrics import read_metrics

    training = run.recipe.training
    blocks_in_step = training.batch_size * training.gradient_accumulation
    described = (folder / BLOCKS_FILE).with_suffix(".json")
    steps = BlocksRecord.load(described).train // blocks_in_step if described.exists() else None
    if run.outcome is not None:
        steps = run.outcome.steps  # It may have stopped early.
    rows = list(read_metrics(folder / METRICS_FILE))
    done = [row for row in rows if "loss" in row]
    held_out = [row["held_out_loss"] for row in rows if "held_out_loss" in row]
    rates = [row["tokens_per_second"] for row in done[-_ROWS:] if row.get("tokens_per_second")]
    # The mean of times, not of rates: a slow step takes longer.
    rate = len(rates) / sum(1 / each for each in rates) if rates else None
    left = None
    if done and steps is not None and rate:
        left = (steps - done[-1]["step"]) * blocks_in_step * training.sequence_length / rate
    return Progress(
        step=done[-1]["step"] if done else 0,
        steps=steps,
        loss=done[-1]["loss"] if done else None,
        held_out_loss=held_out[-1] if held_out else None,
        tokens_per_second=rate,
        seconds_left=left,
    )
