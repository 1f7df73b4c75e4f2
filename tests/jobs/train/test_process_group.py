"""Several processes train one adapter as one does. On a CPU they meet over gloo, as GPUs do to agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from starfreight.errors import InputError
from starfreight.jobs.train import checkpoints, torchrun
from starfreight.jobs.train.process_group import ProcessGroup
from starfreight.run import Run

EVENLY = {"dropout": 0, "gradient_accumulation": 2, "steps": 8, "checkpoint_every": 4}
Start = Callable[[Path], Any]
WEIGHTS = "adapter/adapter_model.safetensors"


@pytest.fixture
def run_in(write_job: Callable[..., Path], prepare: Callable[[Path], Path]) -> Callable[..., Path]:
    """A run that wants so many processes."""

    def make(processes: int, **training: Any) -> Path:
        return prepare(
            write_job(
                training={**EVENLY, **training},
                run={"threads": 1, "processes": processes},
                name=f"p{processes}",
            )
        )

    return make


def test_two_processes_learn_what_one_does(
    run_in: Callable[..., Path], start_job: Start, training_rows: Callable[[Path], list[dict[str, Any]]]
) -> None:
    one, two = run_in(1), run_in(2)
    assert start_job(one).wait() == 0
    assert start_job(two).wait() == 0
    record = Run.load(two)
    assert record.machine is not None
    assert record.machine.processes == 2
    losses = [[row["loss"] for row in training_rows(run)] for run in (one, two)]
    assert losses[1] == pytest.approx(losses[0], abs=2e-3)
    assert len(losses[1]) == EVENLY["steps"]
    outcomes = [Run.load(run).outcome for run in (one, two)]
    assert outcomes[0] is not None and outcomes[1] is not None
    assert outcomes[0].after is not None and outcomes[1].after is not None
    assert outcomes[1].after.tokens == outcomes[0].after.tokens
    assert outcomes[1].after.loss == pytest.approx(outcomes[0].after.loss, abs=5e-3)
    for name, weight in load_file(one / WEIGHTS).items():
        assert torch.allclose(weight, load_file(two / WEIGHTS)[name], atol=2e-2), name


def test_all_processes_stop_when_they_are_asked_to_and_go_on_to_the_same_bytes(
    run_in: Callable[..., Path], start_job: Start, adapter_digest: Callable[[Path], str], tmp_path: Path
) -> None:
    run = run_in(2)
    assert start_job(run).wait() == 0
    whole = adapter_digest(run)
    run.rename(tmp_path / "whole")

    run = run_in(2)
    job = start_job(run)
    job.wait_for_step(3)
    job.process.terminate()
    assert job.wait() == 75
    assert Run.load(run).status == "stopped"
    last = checkpoints.last_good(run / "checkpoints")
    assert last is not None
    assert checkpoints.step_of(last) >= 3
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in last.iterdir()}
    assert start_job(run).wait() == 0
    assert adapter_digest(run) == whole


def test_how_many_processes_follows_from_the_recipe_the_machine_and_the_step(
    run_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.load(run_in(3, gradient_accumulation=4))
    with pytest.raises(InputError, match="3 processes cannot share a step of 4"):
        torchrun.process_count(run)
    automatic = run.model_copy(
        update={
            "recipe": run.recipe.model_copy(
                update={"run": run.recipe.run.model_copy(update={"processes": None})}
            )
        }
    )
    assert torchrun.process_count(automatic) == 1
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: True, device_count=lambda: 3))
    assert torchrun.process_count(automatic) == 2  # The most that share four passes evenly.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="this machine has 2"):
        torchrun.process_count(run)


def test_work_is_shared_without_a_gap() -> None:
    items = list(range(7))
    shares = [ProcessGroup(rank, rank, 3).shard(items) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == items
