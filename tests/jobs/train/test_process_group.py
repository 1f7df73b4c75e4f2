"""Several processes train one adapter as one does. On a CPU they meet over gloo, as GPUs do to agree."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from starfreight.errors import InputError
from starfreight.jobs.protocol.events import receive
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train import checkpoints, torchrun
from starfreight.jobs.train.loop import Loop
from starfreight.jobs.train.loop import _arguments as loop_arguments
from starfreight.jobs.train.metrics import Metrics
from starfreight.jobs.train.process_group import ProcessGroup
from starfreight.jobs.train.resumption import say_differences
from starfreight.recipe import Training
from starfreight.run import Run

EVENLY = {"gradient_accumulation": 4, "steps": 8, "checkpoint_every": 4}
"""With the dropout of the small jobs, which is not 0."""
Start = Callable[[Path], Any]
WEIGHTS = "adapter/adapter_model.safetensors"
ROUNDING = 1e-4
"""Bound of the difference of two adapters relative to the norm of one, and of their losses."""


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


def difference(one: Path, other: Path) -> float:
    """Norm of the difference of two runs' adapters, of their factors B, relative to the first one's norm."""
    first, second = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    names = [name for name in first if "lora_B" in name]
    difference = sum(float((first[name] - second[name]).square().sum()) for name in names)
    return math.sqrt(difference / sum(float(first[name].square().sum()) for name in names))


def set_processes(run: Path, count: int) -> None:
    """Changes the number of processes of a prepared run, as a changed recipe does."""
    record = Run.load(run)
    options = record.recipe.run.model_copy(update={"processes": count})
    recipe = record.recipe.model_copy(update={"run": options})
    record.model_copy(update={"recipe": recipe}).save(run)


def test_several_processes_and_a_change_of_their_number_give_the_adapter_of_one_up_to_rounding(
    run_in: Callable[..., Path],
    start_job: Start,
    adapter_digest: Callable[[Path], str],
    training_rows: Callable[[Path], list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    one = run_in(1)
    assert start_job(one).wait() == 0
    assert load_file(one / WEIGHTS)  # Its dropout is on.
    assert Run.load(one).recipe.training.dropout == 0.1

    two = run_in(2)
    assert start_job(two).wait() == 0
    record = Run.load(two)
    assert record.machine is not None
    assert record.machine.processes == 2
    losses = [[row["loss"] for row in training_rows(run)] for run in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=ROUNDING)
    assert len(losses[1]) == EVENLY["steps"]
    outcomes = [Run.load(run).outcome for run in (one, two)]
    assert outcomes[0] is not None and outcomes[1] is not None
    assert outcomes[0].after is not None and outcomes[1].after is not None
    assert outcomes[1].after.tokens == outcomes[0].after.tokens
    assert outcomes[1].after.loss == pytest.approx(outcomes[0].after.loss, rel=ROUNDING)
    assert difference(one, two) < ROUNDING

    whole = adapter_digest(two)
    two.rename(tmp_path / "whole")
    again = run_in(2)
    job = start_job(again)
    job.wait_for_step(3)
    job.process.terminate()
    assert job.wait() == 75
    assert Run.load(again).status == "stopped"
    last = checkpoints.last_good(again / "checkpoints")
    assert last is not None
    done = checkpoints.step_of(last)
    assert 3 <= done < EVENLY["steps"]
    assert not list(last.glob("rng_state*"))
    shutil.copytree(again, tmp_path / "changed")

    assert start_job(again).wait() == 0
    assert adapter_digest(again) == whole

    shutil.rmtree(again)
    (tmp_path / "changed").rename(again)
    set_processes(again, 1)
    assert start_job(again).wait() == 0
    rows = training_rows(again)
    assert [row["processes"] for row in rows] == [2] * done + [1] * (EVENLY["steps"] - done)
    assert [row["learning_rate"] for row in rows] == [row["learning_rate"] for row in training_rows(one)]
    assert [row["tokens"] for row in rows] == [row["tokens"] for row in training_rows(one)]
    assert difference(one, again) < ROUNDING


@pytest.mark.parametrize(
    ("files", "rows", "count", "said"),
    [
        ([], [{"step": 4, "loss": 1.0, "processes": 2}], 1, ["1 process instead of 2 processes"]),
        ([], [{"step": 4, "loss": 1.0, "processes": 1}], 4, ["4 processes instead of 1 process"]),
        ([], [{"step": 4, "loss": 1.0, "processes": 2}], 2, []),
        (["rng_state.pth"], [{"step": 4, "loss": 1.0}], 1, ["earlier version"]),
        (["rng_state_0.pth", "rng_state_1.pth"], [], 1, ["instead of 2 processes", "earlier version"]),
    ],
)
def test_a_resumed_run_says_in_which_way_it_differs(
    files: list[str],
    rows: list[dict[str, Any]],
    count: int,
    said: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = tmp_path / "checkpoint-4"
    checkpoint.mkdir()
    for name in files:
        (checkpoint / name).write_bytes(b"")
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    say_differences(checkpoint, tmp_path / "metrics.jsonl", count)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        event = receive(line)
        assert event is not None
        assert event["event"] == "note"
        assert words in event["text"]


def test_a_single_process_uses_one_gpu_however_many_it_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: True)
    training = Training(batch_size=2, gradient_accumulation=1, learning_rate=0.01)
    blocks: Any = SimpleNamespace(blocks=[None] * 8)
    metrics = Metrics(tmp_path / "metrics.jsonl")
    loop = Loop(blocks, training, tmp_path, metrics, StopRequest(), lambda: None)
    arguments = loop_arguments(loop, on_cpu=False)
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == 2


def test_how_many_processes_follows_from_the_recipe_the_machine_and_the_step(
    run_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_in(2, gradient_accumulation=4)
    set_processes(folder, 3)  # The recipe of a run is refused before.
    run = Run.load(folder)
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
