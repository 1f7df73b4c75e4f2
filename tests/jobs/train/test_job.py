"""A job from its inputs to its record: other formats, and faults on the way."""

from __future__ import annotations

import json
import math
import re
import resource
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError, JobFailed, JobStopped, ServiceError, StarfreightError
from starfreight.jobs.data.blocks.training_data import TrainingData
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train import checkpoints
from starfreight.jobs.train.metrics import Metrics
from starfreight.jobs.train.training_job import run_job
from starfreight.run import DATA_MANIFEST, METRICS_FILE, Inputs, Run

torch = pytest.importorskip("torch")

Prepare = Callable[[Path], Path]
WriteJob = Callable[..., Path]


def fails(run: Path, kind: type[StarfreightError], words: str) -> StarfreightError:
    with pytest.raises(kind, match=words) as caught:
        run_job(run, StopRequest())
    assert Run.load(run).status == ("stopped" if kind is JobStopped else "failed")
    assert not (run / "adapter").exists()
    return caught.value


def test_starcoder_1_learns_to_answer_instructions_for_some_epochs(
    write_job: WriteJob,
    prepare: Prepare,
    tmp_path: Path,
    training_rows: Callable[[Path], list[dict[str, Any]]],
) -> None:
    rows = [{"prompt": f"Double {number}.", "response": "The answer is here."} for number in range(40)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = prepare(
        write_job(
            "starcoder",
            {"source": "./pairs.jsonl", "format": "instruct", "license": "MIT", "held_out": "20%"},
            training={"steps": None, "epochs": 2, "batch_size": 4, "warmup": 0, "learning_rate": 0.02},
        )
    )
    run_job(run, StopRequest())
    record = Run.load(run)
    assert record.is_done(run)
    outcome = record.outcome
    assert outcome is not None
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after.loss < outcome.before.loss - 0.3
    assert outcome.before.exact_match is None
    assert outcome.before.tokens == outcome.after.tokens > 0
    assert outcome.steps == len(training_rows(run)) >= 2
    # A run that is done is not done again.
    ended = record.ended
    run_job(run, StopRequest())
    assert Run.load(run).ended == ended


def test_a_data_file_that_changed_after_preparing_stops_the_job(
    write_job: WriteJob, prepare: Prepare, tmp_path: Path
) -> None:
    run = prepare(write_job())
    changed = tmp_path / "code/basket_3.py"
    changed.write_text("x = 1\n")
    assert "basket_3.py" in fails(run, InputError, "changed since").what


def test_a_base_file_that_changed_after_preparing_stops_the_job(
    write_job: WriteJob, prepare: Prepare, tmp_path: Path, bases: Mapping[str, Path]
) -> None:
    base = shutil.copytree(bases["starcoder2"], tmp_path / "base")
    run = prepare(write_job(base={"model": "./base", "license": "MIT"}))
    weights = base / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fails(run, InputError, "base model has changed").where == str(weights)


def test_a_manifest_that_changed_after_preparing_stops_the_job(write_job: WriteJob, prepare: Prepare) -> None:
    run = prepare(write_job())
    manifest = run / DATA_MANIFEST
    manifest.write_text(manifest.read_text().replace('"train"', '"held_out"', 1))
    assert fails(run, InputError, "manifest").where == str(manifest)


def test_a_base_model_that_gives_no_number_is_refused_before_training(
    write_job: WriteJob, prepare: Prepare, tmp_path: Path, make_checkpoint: Callable[..., Path]
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128, dtype="F32")
    weights = base / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-64] + b"\x00\x00\xc0\x7f" * 16)
    run = prepare(write_job(base={"model": "./base", "license": "MIT"}))
    assert "nan" in fails(run, JobFailed, "before training").what
    held_out_none = {"source": "./code", "license": "MIT", "held_out": 0}
    run = prepare(write_job(data=held_out_none, base={"model": "./base", "license": "MIT"}))
    assert "step 1" in fails(run, JobFailed, "diverged").what
    assert checkpoints.last_good(run / "checkpoints") is None


@pytest.fixture
def loop_in(
    write_job: WriteJob, prepare: Prepare, read_blocks: Callable[..., TrainingData]
) -> Callable[..., Any]:
    """Makes a model and the loop for it, with the checkpoints in a run's folder."""

    def make(**training: Any) -> Any:
        from starfreight.jobs.train.loop import Loop
        from starfreight.jobs.train.model import load_model

        folder = prepare(write_job(training={"gradient_accumulation": 1, **training}))
        run, inputs = Run.load(folder), Inputs.load(folder)
        torch.set_num_threads(1)
        model = load_model(Path(inputs.base), run.base.architecture, run.recipe.training, torch.device("cpu"))
        data = read_blocks(folder)
        metrics = Metrics(folder / METRICS_FILE)
        stop = StopRequest()
        return model, Loop(data, run.recipe.training, folder / "checkpoints", metrics, stop, lambda: None)

    return make


@pytest.mark.parametrize("fault", ["loss", "gradient"])
def test_training_that_diverges_fails_and_keeps_the_last_good_checkpoint(
    loop_in: Callable[..., Any], fault: str
) -> None:
    from starfreight.jobs.train.loop import train

    model, loop = loop_in(checkpoint_every=2)
    passes = 0

    def break_loss(module: Any, arguments: Any, output: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes == 4:
            output.loss = output.loss * math.nan
        return output

    def break_gradient(gradient: Any) -> Any:
        nonlocal passes
        passes += 1
        return gradient * math.nan if passes == 4 else gradient

    if fault == "loss":
        model.register_forward_hook(break_loss)
    else:
        next(weight for weight in model.parameters() if weight.requires_grad).register_hook(break_gradient)
    with pytest.raises(JobFailed, match="step 4: training has diverged") as caught:
        train(model, loop)
    assert "learning_rate" in str(caught.value.fix)
    # Step 4 would have written a checkpoint, and its weights are no numbers.
    assert checkpoints.last_good(loop.folder) == loop.folder / "checkpoint-2"
    assert not (loop.folder / "checkpoint-4").exists()


def test_a_full_disk_names_the_checkpoints(loop_in: Callable[..., Any]) -> None:
    from starfreight.jobs.train.loop import train

    model, loop = loop_in(checkpoint_every=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # Python ignores the signal.
    try:
        with pytest.raises(ServiceError, match="No space left to write") as caught:
            train(model, loop)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.where == str(loop.folder)
    assert checkpoints.last_good(loop.folder) is None


def test_a_stop_is_granted_between_two_steps(loop_in: Callable[..., Any]) -> None:
    from starfreight.jobs.train.loop import train

    model, loop = loop_in()
    loop.stop.limit(0)
    with pytest.raises(JobStopped):
        train(model, loop)
    assert checkpoints.last_good(loop.folder) == loop.folder / "checkpoint-1"


def test_metrics_forget_what_is_done_again_and_a_row_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    for step in (1, 2, 3):
        metrics.add(step, loss=float(step))
    with path.open("a") as stream:
        stream.write('{"step": 4, "lo')
    metrics.begin_after(2)
    metrics.add(3, loss=9.0)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 2.0}, {"step": 3, "loss": 9.0}]
    Metrics(tmp_path / "new.jsonl").begin_after(0)
    assert (tmp_path / "new.jsonl").read_text() == ""


@pytest.mark.parametrize(
    "error", [JobStopped("Stopped.", fix="go on"), InputError("Bad.", where="x"), JobFailed("!")]
)
def test_an_error_arrives_on_the_other_side_as_it_was(
    error: StarfreightError, capsys: pytest.CaptureFixture[str]
) -> None:
    events.send("error", **error.as_dict())
    event = events.receive(capsys.readouterr().out)
    assert event is not None
    received = events.error_from(event)
    assert type(received) is type(error)
    assert received.as_dict() == error.as_dict()


@pytest.mark.parametrize("line", ["", "hello\n", "{}\n", '{"event": \n', '{"a": 1}\n', "[1]\n"])
def test_what_a_library_prints_is_no_event(line: str) -> None:
    assert events.receive(line) is None


@pytest.mark.parametrize("kind", ["StarfreightError", "os", "Exception", None, "nonsense", "annotations"])
def test_an_error_of_no_known_kind_is_a_failed_job_and_nothing_else(kind: object) -> None:
    assert isinstance(events.error_from({"kind": kind, "what": "x"}), StarfreightError)


def test_a_stopped_job_says_which_checkpoint_it_keeps_and_what_it_is_doing(
    write_job: WriteJob, prepare: Prepare, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare(write_job(run={"time_limit": "1s"}, training={"steps": 500, "checkpoint_every": 1}))
    stop = StopRequest()
    stop.limit(0)
    with pytest.raises(JobStopped, match="Stopped before the first checkpoint") as early:
        run_job(run, stop)
    assert "first step" in str(early.value.fix)
    with pytest.raises(JobStopped, match=r"Stopped at step [0-9]+; its checkpoint is kept") as late:
        run_job(run, StopRequest())
    assert checkpoints.newest_step(run / "checkpoints") == int(late.value.what.split()[3].rstrip(";"))
    phases = [
        event["text"]
        for line in capsys.readouterr().out.splitlines()
        if (event := events.receive(line)) and event["event"] == "phase"
    ]
    assert re.fullmatch(r"Checking the [0-9.]+ kB of the base model", phases[0])
    assert phases[-4:] == [
        "Preparing the data",
        "Loading the base model",
        "Measuring the base model on 2 held-out blocks and 2 lines",
        "Training",
    ]
