"""The adapter that is kept is the best one, and training ends when it gets no better."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from starfreight.jobs.train.best_adapter import best_so_far
from starfreight.jobs.train.early_stopping import DivergenceDetector, has_stalled
from starfreight.jobs.train.metrics import read_metrics
from starfreight.run import METRICS_FILE, Run

Start = Callable[[Path], Any]
SPOILT = {"learning_rate": 0.05, "schedule": "constant", "warmup": 0, "steps": 16, "evaluate_every": 2}


@pytest.fixture
def write_spoilt(tmp_path: Path, write_job: Callable[..., Path]) -> Callable[..., Path]:
    """A recipe that learns one text by heart and is measured on another one, at which it gets ever worse."""

    def write(**changes: Any) -> Path:
        folder = tmp_path / "opposites"
        folder.mkdir(exist_ok=True)
        for name, word in {"one.py": "alpha = beta + 1", "two.py": "while zeroes: yield quux"}.items():
            (folder / name).write_text(f"{word}\n" * 40)
        return write_job(data={"source": "./opposites", "license": "MIT", "held_out": 0.5}, **changes)

    return write


def held_out(run: Path) -> dict[int, float]:
    return {
        row["step"]: row["held_out_loss"]
        for row in read_metrics(run / METRICS_FILE)
        if "held_out_loss" in row
    }


def test_the_adapter_with_the_lowest_held_out_loss_is_kept(
    write_spoilt: Callable[..., Path], prepare: Callable[[Path], Path], start_job: Start
) -> None:
    run = prepare(write_spoilt(training=SPOILT))
    assert start_job(run).wait() == 0
    outcome, measured = Run.load(run).outcome, held_out(run)
    assert outcome is not None
    assert outcome.after is not None
    best = min(measured, key=lambda step: measured[step])
    assert outcome.kept_step == best < outcome.steps == 16
    assert outcome.after.loss == measured[best]
    assert "of step " in (run / "report.html").read_text()

    last = prepare(write_spoilt(training={**SPOILT, "keep": "last"}, name="last"))
    assert start_job(last).wait() == 0
    outcome = Run.load(last).outcome
    assert outcome is not None
    assert outcome.after is not None
    assert outcome.kept_step is None
    assert outcome.after.loss > measured[best]


def test_training_ends_early_and_a_run_that_was_killed_then_is_not_trained_on(
    write_spoilt: Callable[..., Path], prepare: Callable[[Path], Path], start_job: Start
) -> None:
    run = prepare(write_spoilt(training={**SPOILT, "steps": 400, "early_stopping": 2}))
    assert start_job(run).wait() == 0
    first = Run.load(run).outcome
    measured = held_out(run)
    assert first is not None
    assert first.steps == max(measured) < 400
    assert first.kept_step == sorted(measured)[-3]
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "status": "running", "outcome": None}))
    assert start_job(run).wait() == 0
    again = Run.load(run).outcome
    assert again is not None
    assert (again.steps, again.adapter) == (first.steps, first.adapter)
    assert held_out(run) == measured


def test_a_best_adapter_that_was_damaged_does_not_count(
    write_spoilt: Callable[..., Path], prepare: Callable[[Path], Path], start_job: Start
) -> None:
    run = prepare(write_spoilt(training=SPOILT))
    assert start_job(run).wait() == 0
    folder = run / "checkpoints"
    assert best_so_far(folder) is not None
    weights = folder / "best/adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert best_so_far(folder) is None


def test_lora_trains_the_base_in_bfloat16(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], start_job: Start
) -> None:
    run = prepare(write_job(training={"method": "lora", "gradient_checkpointing": True}))
    assert start_job(run).wait() == 0
    outcome = Run.load(run).outcome
    assert outcome is not None
    assert outcome.before is not None and outcome.after is not None
    assert outcome.after.loss < outcome.before.loss


def test_a_base_model_of_lora_is_not_rounded_to_four_bits(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], bases: dict[str, Path]
) -> None:
    from starfreight.jobs.train.model import load_model

    training = Run.load(prepare(write_job(training={"method": "lora"}))).recipe.training
    model = load_model(bases["starcoder2"], "starcoder2", training, torch.device("cpu"))
    kinds = {name: weight.dtype for name, weight in model.named_parameters()}
    assert {kind for name, kind in kinds.items() if "lora_" in name} == {torch.float32}
    assert {kind for name, kind in kinds.items() if "lora_" not in name} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("losses", "patience", "stalled"),
    [
        ([3, 2, 1], 1, False),
        ([3, 2, 2], 1, True),
        ([3, 2, 2.5, 1.9], 2, False),
        ([3, 2, 2.5, 2.4], 2, True),
        ([3, 4], 2, False),
        ([1, 2, 3, 4, 5], None, False),
    ],
)
def test_training_has_stalled_when_nothing_was_lower_for_so_long(
    losses: list[float], patience: int | None, stalled: bool
) -> None:
    assert has_stalled(losses, patience) is stalled


def test_a_loss_that_rises_for_good_is_a_divergence_and_a_few_bad_batches_are_none() -> None:
    watch = DivergenceDetector()
    assert not any(watch.add(3 - step / 100) for step in range(100))
    assert not any(watch.add(12) for _ in range(3))
    assert not any(watch.add(2) for _ in range(60))
    assert any(watch.add(9) for _ in range(60))
