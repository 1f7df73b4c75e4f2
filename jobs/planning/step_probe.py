"""Measures a few steps of training on this machine's processors, in a process of its own.

The program of the job itself, on random tokens: the same model, loop and threads. A model whose steps would
take too long is not loaded; only the speed of its matrix products is measured. The question comes on standard
input, the answer is the last line of standard output.

    python -P -m starfreight.jobs.planning.step_probe
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from starfreight.recipe import Recipe, Training

_LONGEST_STEP = 10.0
"""Estimated seconds of a step that is measured."""
_STEPS = 24
_SECONDS = 6.0
_UNMEASURED = 2
"""First steps, which are slower than the rest."""


def main() -> int:
    """Answer the question of :func:`starfreight.jobs.planning.duration.measure_speed`."""
    asked = json.load(sys.stdin)
    answer: dict[str, Any] = {"step": None, "block": None, "probe": None}
    import torch

    from starfreight.jobs.train.machine import thread_count

    recipe = Recipe.model_validate_json(json.dumps(asked["recipe"]))
    torch.set_num_threads(thread_count(recipe.run.threads))
    answer["rate"] = _matrix_rate(asked["hidden"], asked["ffn"])
    in_step = recipe.training.batch_size * recipe.training.gradient_accumulation
    tokens = in_step * recipe.training.sequence_length
    if asked["operations"] * tokens / answer["rate"] <= _LONGEST_STEP and asked["fits"]:
        answer |= _steps(recipe.training, Path(asked["base"]), asked["architecture"], asked["vocabulary"])
    answer["ready"] = answer.pop("loaded", time.monotonic()) - asked["began"]
    print(json.dumps(answer), flush=True)
    return 0


def _matrix_rate(hidden: int, ffn: int) -> float:
    """Operations per second of products in the model's shape."""
    import torch

    left, right = torch.rand(256, hidden), torch.rand(hidden, ffn)
    done, began = 0, time.monotonic()
    left @ right
    while (seconds := time.monotonic() - began) < 0.5 or not done:
        left @ right
        done += 1
    return 2.0 * 256 * hidden * ffn * done / seconds


def _steps(training: Training, base: Path, architecture: str, vocabulary: int) -> dict[str, float]:
    """Load the model, train a few steps, and read a few blocks."""
    import numpy as np
    import torch
    import transformers

    from starfreight.errors import JobStopped
    from starfreight.jobs.data.blocks.block_file import Block
    from starfreight.jobs.protocol import events
    from starfreight.jobs.protocol.stop_request import StopRequest
    from starfreight.jobs.train.held_out import measure
    from starfreight.jobs.train.loop import Loop, train
    from starfreight.jobs.train.metrics import Metrics, read_metrics
    from starfreight.jobs.train.model import load_model

    events.silence()
    transformers.utils.logging.set_verbosity_error()
    model = load_model(base, architecture, training, torch.device("cpu"))
    loaded = time.monotonic()
    length, in_step = training.sequence_length, training.batch_size * training.gradient_accumulation
    random = np.random.default_rng(0)
    positions = np.arange(length) % max(1, length - length // 4)

    def block() -> Block:
        ids = random.integers(0, vocabulary, length)
        return Block(ids, ids, positions, length)

    short = training.model_copy(
        update={
            "steps": _STEPS, "epochs": None, "evaluate_every": _STEPS + 1, "checkpoint_every": _STEPS + 1,
            "early_stopping": None, "keep": "last", "learning_rate": 1e-6,
        }
    )  # fmt: skip
    stop = StopRequest()
    with tempfile.TemporaryDirectory(prefix="starfreight-") as work:
        metrics = Metrics(Path(work) / "metrics.jsonl")
        blocks: Any = [block() for _ in range(_STEPS * in_step)]
        data: Any = _Data(blocks)
        stop.limit(_SECONDS)
        with contextlib.suppress(JobStopped):
            train(model, Loop(data, short, Path(work) / "checkpoints", metrics, stop, lambda: None))
        rates = [row["tokens_per_second"] for row in read_metrics(metrics.path)]
    times = [in_step * length / rate for rate in (rates[_UNMEASURED:] or rates[-1:])]
    held_out = blocks[: max(1, 8192 // length // 4)]
    measure(model, held_out[:1], (), lambda: None)
    began = time.monotonic()
    measure(model, held_out, (), lambda: None)
    read = (time.monotonic() - began) / len(held_out)
    began = time.monotonic()
    measure(model, held_out[:1], (), lambda: None)
    return {
        "step": sum(times) / len(times),
        "block": read,
        "probe": time.monotonic() - began,
        "loaded": loaded,
        "steps": len(times),
    }


class _Data:
    """The part of :class:`starfreight.jobs.data.blocks.training_data.TrainingData` that the loop reads."""

    def __init__(self, blocks: Any) -> None:
        self.blocks = blocks


if __name__ == "__main__":
    from starfreight.exit_codes import leave_at_once

    leave_at_once(main)
