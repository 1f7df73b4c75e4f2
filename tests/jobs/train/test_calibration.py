"""The calibration run: sums that a direct computation gives too, in a file of llama.cpp's format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.errors import JobFailed, JobStopped
from starfreight.files import sha256_file
from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train.training_job import run_job
from starfreight.packager.press.architectures import Role, architecture_plan
from starfreight.packager.press.importance import read_importance
from starfreight.recipe import Training
from starfreight.run import IMATRIX_FILE, Run

torch = pytest.importorskip("torch")

ARCHITECTURES = ("starcoder2", "starcoder")
Prepare = Callable[[Path], Path]
WriteJob = Callable[..., Path]


def block(filled: int, length: int = 48, seed: int = 0) -> Block:
    """A block of one example and what fills it up."""
    ids = torch.randint(7, 200, (filled,), generator=torch.Generator().manual_seed(seed)).tolist()
    empty = length - filled
    positions = [*range(filled), *range(empty)]
    rows = (ids + [0] * empty, [-100] * length, positions)
    return Block(*(np.array(row) for row in rows), filled)


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each architecture."""
    return str(request.param)


@pytest.fixture
def model(architecture: str, bases: Mapping[str, Path]) -> Any:
    """A base in NF4 with an adapter whose weights are not zero."""
    from starfreight.jobs.train.model import load_model

    torch.set_num_threads(1)
    made = load_model(bases[architecture], architecture, Training(rank=4), torch.device("cpu"))
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return made.eval()


def inputs_of(model: Any, path: str, ids: list[int]) -> Any:
    """What goes into one layer for the tokens of one example alone, float64."""
    caught = []
    layer = model.get_submodule(f"base_model.model.{path}")
    handle = layer.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    with torch.no_grad():
        model(input_ids=torch.tensor([ids]), use_cache=False)
    handle.remove()
    (rows,) = caught
    return rows[0].double()


def test_the_sums_are_those_of_every_example_by_itself(model: Any, architecture: str) -> None:
    from starfreight.jobs.train.calibration import calibrate

    blocks = [block(48, seed=1), block(17, seed=2), block(30, seed=3)]
    made = calibrate(model, architecture, blocks, lambda: None)
    assert (made.tokens, made.blocks) == (48 + 17 + 30, 3)
    paths = {
        "starcoder2": {
            "blk.0.attn_k": "model.layers.0.self_attn.k_proj",
            "blk.1.attn_output": "model.layers.1.self_attn.o_proj",
            "blk.1.ffn_down": "model.layers.1.mlp.c_proj",
        },
        "starcoder": {
            "blk.0.attn_qkv": "transformer.h.0.attn.c_attn",
            "blk.1.attn_output": "transformer.h.1.attn.c_proj",
            "blk.1.ffn_down": "transformer.h.1.mlp.c_proj",
        },
    }[architecture]
    for name, path in paths.items():
        expected = sum(inputs_of(model, path, each.ids[: each.filled]).square().sum(0) for each in blocks)
        torch.testing.assert_close(made.squares[f"{name}.weight"], expected, rtol=1e-4, atol=1e-6)


def test_every_matrix_inside_of_the_layers_is_watched_and_nothing_else(
    model: Any, architecture: str, bases: Mapping[str, Path], tmp_path: Path
) -> None:
    from starfreight.jobs.train.calibration import calibrate, imatrix_bytes

    made = calibrate(model, architecture, [block(20)], lambda: None)
    shape = open_checkpoint(bases[architecture]).shape
    outside = (Role.VECTOR, Role.TOKEN_EMBEDDING, Role.POSITION_EMBEDDING, Role.OUTPUT)
    plans = [
        plan for plan in architecture_plan(shape.architecture).tensors(shape) if plan.role not in outside
    ]
    assert {name: len(sums) for name, sums in made.squares.items()} == {
        plan.name: plan.columns for plan in plans
    }
    path = tmp_path / "imatrix.gguf"
    path.write_bytes(imatrix_bytes(made, 48, ["./code", "python:click"]))
    read = read_importance(path)
    assert (read.dataset, read.chunks, read.digest) == ("./code", 1, sha256_file(path))
    for name, weights in read.weights.items():
        torch.testing.assert_close(torch.tensor(weights), (made.squares[name] / 20).float())


def test_watching_changes_nothing_and_ends(model: Any, architecture: str) -> None:
    from starfreight.jobs.train.calibration import calibrate

    model.train()
    first = calibrate(model, architecture, [block(20)], lambda: None)
    second = calibrate(model, architecture, [block(20)], lambda: None)
    assert model.training
    assert all(torch.equal(first.squares[name], second.squares[name]) for name in first.squares)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_inputs_that_are_no_numbers_are_refused(model: Any, architecture: str) -> None:
    from starfreight.jobs.train.calibration import calibrate

    for name, weight in model.named_parameters():
        if "norm" in name or "ln_" in name:
            torch.nn.init.constant_(weight, torch.nan)
    with pytest.raises(JobFailed, match="not finite in the tuned model"):
        calibrate(model, architecture, [block(20)], lambda: None)


def test_a_job_calibrates_when_its_recipe_asks_for_it_at_once_or_later(
    write_job: WriteJob, prepare: Prepare
) -> None:
    import shutil

    asked = {"imatrix": {"blocks": 5}}
    run = prepare(write_job(package=asked))
    run_job(run, StopRequest())
    at_once = Run.load(run)
    assert at_once.is_done(run)
    assert at_once.calibration is not None
    assert at_once.calibration.blocks == 5
    assert 5 * 32 < at_once.calibration.tokens <= 5 * 64
    first = (run / IMATRIX_FILE).read_bytes()
    shutil.rmtree(run)

    run = prepare(write_job())
    run_job(run, StopRequest())
    trained = Run.load(run)
    assert trained.calibration is None
    assert not (run / IMATRIX_FILE).exists()
    # The same run with another recipe for its package: only what is missing is done.
    assert prepare(write_job(package=asked)) == run
    assert not Run.load(run).is_done(run)
    run_job(run, StopRequest())
    later = Run.load(run)
    assert later.is_done(run)
    assert (run / IMATRIX_FILE).read_bytes() == first
    assert later.calibration == at_once.calibration
    assert (later.ended, later.machine, later.outcome) == (trained.ended, trained.machine, trained.outcome)
    # More than there are is all of them, and one file that is lost is made again.
    assert prepare(write_job(package={"imatrix": {"blocks": 1000}})) == run
    run_job(run, StopRequest())
    record = Run.load(run)
    assert record.calibration is not None
    assert record.calibration.blocks == 12 * 2 * 2
    whole = (run / IMATRIX_FILE).read_bytes()
    (run / IMATRIX_FILE).unlink()
    assert not record.is_done(run)
    run_job(run, StopRequest())
    assert (run / IMATRIX_FILE).read_bytes() == whole


def test_a_calibration_that_is_stopped_leaves_the_trained_run_as_it_was(
    write_job: WriteJob, prepare: Prepare
) -> None:
    run = prepare(write_job())
    run_job(run, StopRequest())
    trained = Run.load(run)
    prepare(write_job(package={"imatrix": {}}))
    stop = StopRequest()
    stop.limit(0)
    with pytest.raises(JobStopped):
        run_job(run, stop)
    stopped = Run.load(run)
    assert stopped.is_trained(run)
    assert not stopped.is_done(run)
    assert (stopped.status, stopped.ended, stopped.outcome) == ("done", trained.ended, trained.outcome)
    assert not (run / IMATRIX_FILE).exists()


def test_a_record_without_a_calibration_is_read(write_job: WriteJob, prepare: Prepare) -> None:
    run = prepare(write_job())
    data = json.loads((run / "run.json").read_text())
    del data["calibration"], data["recipe"]["package"]["imatrix"]
    (run / "run.json").write_text(json.dumps(data))
    assert Run.load(run).calibration is None
