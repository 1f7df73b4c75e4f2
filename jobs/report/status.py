"""One look at a run: how far it is, whether a job is at work on it, and how long it will take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.errors import ServiceError
from starfreight.jobs.backends.table import JobState, runner_of
from starfreight.run import BLOCKS_FILE, METRICS_FILE, Run

_ROWS = 50
"""The last steps tell how fast it goes."""


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Attributes:
        step: the last one that has been done.
        steps: all of them, as soon as the data has been made.
        loss: of the last step, in nats per token.
        held_out_loss: the last one that was measured.
        tokens_per_second: over the last steps.
        seconds_left: at that rate; without what comes after the last step.
    """

    step: int = 0
    steps: int | None = None
    loss: float | None = None
    held_out_loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class Look:
    """A run as it is now.

    Attributes:
        folder: of the run.
        run: its record.
        where: the runner of its last job; ``None`` when it never had one.
        state: of that job.
        progress: of its training.
    """

    folder: Path
    run: Run
    where: str | None
    state: JobState
    progress: Progress

    @property
    def status(self) -> str:
        """The record's status; ``interrupted`` when it says that a job runs, and none does."""
        if self.state.running:
            return "running"
        return "interrupted" if self.run.status == "running" else self.run.status


def look_at(folder: Path) -> Look:
    """Looks at a run, and brings home what a job that has ended left outside its folder.

    Raises:
        InputError: the run's record cannot be read.
    """
    from starfreight.jobs.protocol.record import JobRecord

    record, runner = JobRecord.find(folder), runner_of(folder)
    try:
        state = runner.state(folder) if runner else JobState(False, "no job yet")
    except ServiceError as error:
        state = JobState(False, f"not known: {error.what}")
    run = Run.load(folder)
    return Look(folder, run, record.runner if record else None, state, progress_of(folder, run))


def progress_of(folder: Path, run: Run) -> Progress:
    """What the figures in a run's folder say."""
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


def as_dict(seen: Look) -> dict[str, Any]:
    """The look for a machine."""
    return {
        "run": str(seen.folder),
        "status": seen.status,
        "where": seen.where,
        "state": seen.state.what,
        "exit_code": seen.state.exit_code,
        "step": seen.progress.step,
        "steps": seen.progress.steps,
        "loss": seen.progress.loss,
        "held_out_loss": seen.progress.held_out_loss,
        "tokens_per_second": seen.progress.tokens_per_second,
        "seconds_left": seen.progress.seconds_left,
    }


def as_text(seen: Look) -> str:
    """The look for a person."""
    from starfreight.console import time_in_words

    progress = seen.progress
    lines = [f"{seen.run.id}: {seen.status}", f"  job       {seen.where or 'none'}: {seen.state.what}"]
    of_all = f" of {progress.steps:,}" if progress.steps is not None else ""
    lines.append(f"  step      {progress.step:,}{of_all}")
    if progress.loss is not None:
        held_out = f", held out {progress.held_out_loss:.3f}" if progress.held_out_loss is not None else ""
        lines.append(f"  loss      {progress.loss:.3f} nats per token{held_out}")
    if progress.tokens_per_second is not None:
        lines.append(f"  speed     {progress.tokens_per_second:,.0f} tokens/s")
    if progress.seconds_left is not None and seen.state.running:
        lines.append(f"  left      {time_in_words(progress.seconds_left)} of training")
    if not seen.state.running and seen.status not in ("done", "prepared"):
        lines.append(f"  go on     starfreight jobs resume {seen.folder}")
    return "\n".join(lines)
