"""The duration of training: from a GPU's peak, or from a few steps measured on this machine's processors."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import time_in_words
from starfreight.recipe import Recipe

if TYPE_CHECKING:
    from starfreight.checkpoint import ModelShape
    from starfreight.jobs.planning.data_look import DataLook
    from starfreight.jobs.planning.training_plan import TrainingPlan

_PATIENCE = 120
"""Seconds to wait for the measurement."""
_RANGES = {"peak": (0.7, 1.4), "steps": (0.8, 1.5), "products": (0.7, 3.0)}
"""The least and the most of a duration, by its source. A GPU reaches 25 to 50 percent of its peak; other
programs take processors away; products leave out everything but the products."""
_PRODUCTS = 0.5
"""Part of the speed of products that training reaches on a processor, where its steps were not measured."""
_READERS_START = 4.0
"""Seconds for the start of the processes that make examples."""
_END = 6.0
"""Seconds for completions, plots and the report."""


@dataclass(frozen=True)
class Speed:
    """The speed of training on this machine's processors.

    Attributes:
        ready: seconds to start the program and load the model.
        step: seconds of a step.
        block: seconds to measure the loss of a block.
        probe: seconds to complete a line.
        source: ``steps`` if they were measured, ``products`` if only matrix products were.
    """

    ready: float
    step: float
    block: float
    probe: float
    source: str

    def scaled(self, factor: float) -> Speed:
        """The speed for a model that takes ``factor`` times as many operations."""
        return Speed(self.ready, factor * self.step, factor * self.block, factor * self.probe, self.source)


@dataclass(frozen=True)
class Duration:
    """The duration of a training job.

    Attributes:
        seconds: the estimate.
        least: if all goes well.
        most: if it does not.
        source: ``peak`` of a GPU, ``steps`` or ``products`` measured here.
    """

    seconds: float
    least: float
    most: float
    source: str

    def as_dict(self) -> dict[str, Any]:
        """The duration for ``--json``."""
        return {key: round(value, 1) if key != "source" else value for key, value in asdict(self).items()}

    def as_text(self) -> str:
        """The duration in one line."""
        how = {
            "peak": "assuming 35% of the GPU's peak",
            "steps": "on this machine's processors, measured over a few steps",
            "products": "on this machine's processors, from the speed of matrix products: a rough estimate",
        }[self.source]
        if self.most < 60:
            return f"under a minute, {how}"
        about, least, most = map(time_in_words, (self.seconds, self.least, self.most))
        return f"about {about} ({least} to {most}), {how}"


def _estimate(seconds: float, source: str) -> Duration:
    least, most = _RANGES[source]
    return Duration(seconds, least * seconds, most * seconds, source)


def duration_on_gpu(training: TrainingPlan) -> Duration | None:
    """The duration on the plan's GPU; ``None`` if its peak or the number of tokens is unknown."""
    return _estimate(training.seconds, "peak") if training.seconds else None


def duration_here(recipe: Recipe, training: TrainingPlan, look: DataLook, speed: Speed) -> Duration | None:
    """The duration of the job on this machine's processors, its measurements included.

    Args:
        recipe: without a sweep.
        training: its plan.
        look: at its data.
        speed: measured.

    Returns:
        ``None`` if the number of steps is unknown.
    """
    if training.steps is None:
        return None
    options = recipe.training
    held_out = options.evaluation_blocks
    probes = options.evaluation_completions
    data = 0.0
    if look.tokens is not None:
        in_step = options.batch_size * options.gradient_accumulation
        passes = training.steps * in_step / max(1, look.tokens.blocks)
        data = _READERS_START + passes * look.tokens.text / look.tokens.bytes_per_second
        kept = sum(each.summary.train.bytes for each in look.sources if each.summary)
        out = sum(each.summary.held_out.bytes for each in look.sources if each.summary)
        held_out = min(held_out, math.ceil(look.tokens.blocks * out / max(1, kept)))
        probes = probes if out else 0
    measured = held_out * speed.block
    evaluations = (training.steps - 1) // options.evaluate_every
    sample = 2 * 16384 / options.sequence_length * speed.block
    seconds = (
        speed.ready + data + training.steps * speed.step + (2 + evaluations) * measured
        + 2 * probes * speed.probe + sample + _END
    )  # fmt: skip
    return _estimate(seconds, speed.source)


def can_measure(recipe: Recipe) -> bool:
    """True if a recipe is trained on this machine, and the libraries for it are here."""
    from starfreight.jobs.train.kind import TRAIN

    here = all(importlib.util.find_spec(name) for name in TRAIN.libraries)
    return here and recipe.run.where != "kubernetes"


def measure_speed(recipe: Recipe, shape: ModelShape, base: Path) -> Speed | None:
    """Measure training in another process, in about twenty seconds.

    Args:
        recipe: without a sweep.
        shape: of its base model.
        base: the directory of that model.

    Returns:
        ``None`` if it cannot be measured.
    """
    from starfreight.jobs.backends.local.environment import job_environment
    from starfreight.jobs.planning.pod import training_memory_on_cpu
    from starfreight.jobs.planning.throughput import operations_per_token
    from starfreight.jobs.prepare.defaults import with_defaults
    from starfreight.machine_limits import available_memory

    training = recipe.training
    if training.gradient_checkpointing == "auto":
        training = training.model_copy(update={"gradient_checkpointing": False})
    operations = operations_per_token(shape, training)
    memory = available_memory()
    question = {
        "recipe": with_defaults(recipe, shape).model_dump(mode="json"),
        "base": str(base),
        "architecture": shape.architecture,
        "vocabulary": shape.vocab_size,
        "hidden": shape.hidden,
        "ffn": shape.ffn,
        "operations": operations,
        "fits": memory is None or training_memory_on_cpu(recipe, shape) < memory,
        "began": time.monotonic(),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "starfreight.jobs.planning.step_probe"],
            input=json.dumps(question), capture_output=True, text=True, timeout=_PATIENCE, check=True,
            env=job_environment(),
        )  # fmt: skip
        answer = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    if answer["step"] is not None:
        return Speed(answer["ready"], answer["step"], answer["block"], answer["probe"], "steps")
    length, in_step = training.sequence_length, training.batch_size * training.gradient_accumulation
    block = operations * length / (_PRODUCTS * answer["rate"])
    # Reading a block takes a third of the operations of training on it. The base model is read once.
    ready = answer["ready"] + 2 * shape.parameters / 200e6
    return Speed(ready, in_step * block, block / 3, block / 3, "products")
