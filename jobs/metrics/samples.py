"""The metrics of a run: its last figures, its state, and the disk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.jobs.disk import disk_use
from starfreight.jobs.gpu.fault_record import read_faults
from starfreight.jobs.metrics.exposition import Family, Sample
from starfreight.jobs.protocol.events import receive
from starfreight.run import METRICS_FILE, Run

STATUSES = ("prepared", "running", "interrupted", "stopped", "failed", "done")
_STEP = Family("starfreight_training_step", "gauge", "Last finished step of a run.")
_STEPS = Family("starfreight_training_steps", "gauge", "Steps that a run will have, early stopping aside.")
_LOSS = Family("starfreight_training_loss", "gauge", "Training loss of the last step, in nats per token.")
_HELD_OUT = Family(
    "starfreight_training_held_out_loss", "gauge", "Last held-out loss of a run, in nats per token."
)
_RATE = Family("starfreight_training_learning_rate", "gauge", "Learning rate of the last step.")
_NORM = Family("starfreight_training_gradient_norm", "gauge", "Norm of the gradient of the last step.")
_TOKENS = Family("starfreight_training_tokens", "counter", "Tokens trained on, filled blocks included.")
_SPEED = Family("starfreight_training_tokens_per_second", "gauge", "Tokens per second in the last step.")
_MEMORY = Family("starfreight_training_memory_bytes", "gauge", "Memory in use at the last step.", "bytes")
_CHECKPOINT = Family("starfreight_training_checkpoint_step", "gauge", "Step of the newest checkpoint.")
_STATUS = Family("starfreight_run_status", "gauge", "1 for the status that a run has, 0 for the others.")
_CHANGED = Family(
    "starfreight_run_last_change_timestamp_seconds", "gauge", "Time of the last figure of a run.", "seconds"
)
_FAULTS = Family("starfreight_run_gpu_faults", "counter", "GPU faults recorded in a run, at most 20.")
_FREE = Family("starfreight_runs_disk_free_bytes", "gauge", "Free space of the disk of the runs.", "bytes")
_SIZE = Family("starfreight_runs_disk_size_bytes", "gauge", "Size of the disk of the runs.", "bytes")

_OF_ROWS = {
    "loss": _LOSS,
    "held_out_loss": _HELD_OUT,
    "learning_rate": _RATE,
    "gradient_norm": _NORM,
    "tokens": _TOKENS,
    "tokens_per_second": _SPEED,
    "memory": _MEMORY,
}
"""Metrics by the key of a row of ``metrics.jsonl``."""


def samples_of_run(directory: Path, status: str) -> Iterator[Sample]:
    """Yields the metrics of a run.

    Args:
        directory: of the run.
        status: as in ``jobs list``.

    Raises:
        InputError: its record or its figures cannot be read.
    """
    from starfreight.jobs.train.metrics import read_metrics
    from starfreight.jobs.train.progress import progress_of

    run = Run.load(directory)
    labels = {"run": run.id, "recipe": run.recipe.name}
    last: dict[str, float] = {}
    for row in read_metrics(directory / METRICS_FILE):
        last.update({name: float(value) for name, value in row.items() if name == "step" or name in _OF_ROWS})
    yield from _of_figures(last, labels)
    progress = progress_of(directory, run)
    if progress.steps is not None:
        yield Sample(_STEPS, progress.steps, labels)
    if progress.checkpoint is not None:
        yield Sample(_CHECKPOINT, progress.checkpoint, labels)
    for name in STATUSES:
        yield Sample(_STATUS, float(name == status), {**labels, "status": name})
    path = directory / METRICS_FILE
    if path.exists():
        yield Sample(_CHANGED, round(path.stat().st_mtime, 3), labels)
    yield Sample(_FAULTS, len(read_faults(directory)), labels)


def samples_of_disk(runs: Path) -> Iterator[Sample]:
    """Yields the metrics of the disk of the runs."""
    use = disk_use(runs)
    if use is not None:
        yield Sample(_FREE, use.free)
        yield Sample(_SIZE, use.total)


def samples_of_output(lines: Iterable[str], labels: Mapping[str, str]) -> Iterator[Sample]:
    """Yields the metrics of a job by its output, e.g. of pods, whose volume cannot be read from here.

    Args:
        lines: its output from the beginning.
        labels: of the job. The output names its run.
    """
    last: dict[str, float] = {}
    known = dict(labels)
    for line in lines:
        event = receive(line)
        kind = None if event is None else event["event"]
        if event is None:
            continue
        if kind == "run":
            known |= {"run": event["id"], "recipe": event["id"].rpartition("-")[0]}
        elif kind == "plan" and not event.get("aside"):
            last |= {"steps": event["steps"], "step": event["done"]}
        elif kind == "step":
            last |= {key: float(event[key]) for key in ("step", "loss", "tokens_per_second")}
        elif kind == "measured":
            last["held_out_loss"] = float(event["loss"])
        elif kind == "checkpoint":
            last["checkpoint"] = event["step"]
        elif kind == "disk":
            last |= {"total": event["total"], "free": event["free"]}
    yield from _of_figures(last, known)
    for key, family in (("steps", _STEPS), ("checkpoint", _CHECKPOINT), ("free", _FREE), ("total", _SIZE)):
        if key in last:
            yield Sample(family, last[key], known)


def _of_figures(figures: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[Sample]:
    if "step" in figures:
        yield Sample(_STEP, figures["step"], labels)
    for name, family in _OF_ROWS.items():
        value = figures.get(name)
        # A counter cannot be NaN or negative.
        if value is not None and (family.kind == "gauge" or (math.isfinite(value) and value >= 0)):
            yield Sample(family, value, labels)
