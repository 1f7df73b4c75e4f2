"""``starfreight jobs run`` as a process, stopped and resumed like by users and schedulers."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.local.backend import LocalBackend
from starfreight.jobs.backends.stop_answers import FIRST, FIRST_IN_STEP
from starfreight.jobs.protocol.log import LOG_FILE
from starfreight.jobs.protocol.progress import watch
from starfreight.jobs.train import checkpoints
from starfreight.run import Run

Command = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def recipe(write_job: Callable[..., Path]) -> Path:
    """A recipe with enough steps to be stopped halfway."""
    return write_job(training={"steps": 60, "checkpoint_every": 20, "evaluate_every": 1000})


@pytest.fixture
def start(recipe: Path) -> Iterator[Command]:
    """Starts ``starfreight jobs run`` with the recipe, and kills it at the end of the test."""
    started = []

    def start_command() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "starfreight", "jobs", "run", str(recipe), "--json"],
            cwd=recipe.parent,
            env=os.environ
            | dict.fromkeys(("HF_TOKEN", "DATABASE_URL", "GITHUB_PAT", "DOCKER_AUTH_CONFIG"), "a secret"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_command
    for process in started:
        if process.poll() is None:
            os.kill(child_of(process), signal.SIGKILL)
            process.kill()
        process.communicate()


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """Waits for a true value of ``true()`` and returns it."""
    end = time.monotonic() + 120
    while not (value := true()):
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.01)
    return value


def child_of(process: subprocess.Popen[str]) -> int:
    """The training process of a command."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def find() -> list[str]:
        # git runs for a moment, too.
        return [child for child in path.read_text().split() if "starfreight.jobs.train" in _command(child)]

    return int(wait_until(find, "a training process")[0])


def _command(process: str) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def has_ended(process: int) -> bool:
    """True if a process has ended, including as a zombie."""
    try:
        return not Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def the_run(recipe: Path) -> Path:
    (run,) = (path.parent for path in (recipe.parent / "runs").glob("*/run.json"))
    return run


def test_a_stopped_a_deserted_and_a_whole_command_end_as_if_there_had_been_one(
    recipe: Path,
    start: Command,
    training_rows: Callable[[Path], list[dict[str, Any]]],
    adapter_digest: Callable[[Path], str],
    start_job: Callable[[Path], Any],
    make_job: Callable[..., Path],
    prepare: Callable[[Path], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The first command is asked to stop.
    first = start()
    child = child_of(first)
    wait_until(lambda: list((recipe.parent / "runs").glob("*/metrics.jsonl")), "training")
    run = the_run(recipe)
    wait_until(lambda: training_rows(run), "a step")
    environment = Path(f"/proc/{child}/environ").read_text()
    assert "PATH=" in environment
    assert "secret" not in environment
    # A second one sees that the first is at work, and lets it be.
    assert main(["jobs", "run", str(recipe), "--runs", str(recipe.parent / "runs")]) == 2
    assert "Another process is already" in capsys.readouterr().err
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 75, err
    assert json.loads(out)["error"]["kind"] == "JobStopped"
    assert FIRST_IN_STEP in err and "Traceback" not in err
    assert Run.load(run).status == "stopped"
    reached = checkpoints.last_good(run / "checkpoints")
    assert reached is not None

    # The second is killed, and its training process notices that nobody listens any more.
    second = start()
    child = child_of(second)
    wait_until(lambda: len(training_rows(run)) > checkpoints.step_of(reached), "another step")
    second.kill()
    second.communicate()
    wait_until(lambda: has_ended(child), "the end of the training process")
    assert Run.load(run).status == "stopped"

    # The third ends the work, with the bytes of a run that nobody disturbed.
    third = start()
    out, err = third.communicate(timeout=120)
    assert third.returncode == 0, err
    assert json.loads(out)["runs"] == [{"run": f"runs/{run.name}", "status": "done"}]
    assert [row["step"] for row in training_rows(run)] == list(range(1, 61))
    undisturbed = prepare(
        make_job(
            tmp_path / "undisturbed", training={"steps": 60, "checkpoint_every": 20, "evaluate_every": 1000}
        )
    )
    assert start_job(undisturbed).wait() == 0
    assert adapter_digest(run) == adapter_digest(undisturbed)

    # A fourth finds it done.
    assert main(["jobs", "run", str(recipe), "--runs", str(recipe.parent / "runs")]) == 0
    assert "is finished already" in capsys.readouterr().err
    assert main(["jobs", "list", "--runs", str(recipe.parent / "runs"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert row["status"] == "done"
    assert row["held_out_loss_after"] < row["held_out_loss_before"]


def test_a_stop_before_the_job_can_listen_is_a_stop_and_no_failure(start: Command) -> None:
    process = start()
    child_of(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert json.loads(out)["error"]["kind"] == "JobStopped"


def test_ctrl_c_is_answered_at_once_and_a_wanted_stop_is_no_error(start: Command, recipe: Path) -> None:
    process = start()
    job = child_of(process)
    os.kill(job, signal.SIGSTOP)  # As in the middle of a long operation.
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    began = time.monotonic()
    lines = iter(process.stderr.readline, "")
    # It is loading still: there is no step to finish.
    assert any(FIRST in line for line in lines)
    assert not has_ended(job)
    process.send_signal(signal.SIGINT)
    assert any("Stopping now" in line for line in lines)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 75, err
    assert json.loads(out)["error"]["kind"] == "JobStopped"
    assert "Error:" not in err and "Stopped at once. Kept: no checkpoint yet." in err
    assert has_ended(job)


def test_a_stop_that_comes_too_late_for_the_job_stops_the_command(
    recipe: Path, prepare: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = prepare(recipe)
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\nkill -INT {os.getpid()}\nsleep 0.3\nexit 0\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(KeyboardInterrupt):
        LocalBackend(Location(run.parent)).run(run, Console(quiet=True))


def test_a_job_that_dies_is_a_failure_that_names_its_log(start: Command, recipe: Path) -> None:
    process = start()
    os.kill(child_of(process), signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    error = json.loads(out)["error"]
    assert error["kind"] == "JobFailed"
    assert "signal 9" in error["what"]
    assert error["where"] == f"runs/{the_run(recipe).name}/{LOG_FILE}"


def test_what_the_job_tells_is_shown_and_what_libraries_print_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [
        '{"event": "phase", "text": "Loading"}',
        "some library's words",
        '{"event": "measured", "when": "before", "loss": 2.5, "exact_match": 0.25}',
        '{"event": "plan", "steps": 10, "done": 4}',
        '{"event": "step", "step": 5, "loss": 1.5, "tokens_per_second": 100}',
        '{"event": "measured", "when": "after", "loss": 1.25, "exact_match": null}',
    ]
    assert watch(lines, Console()) is None
    assert capsys.readouterr().err.splitlines() == [
        "Loading",
        "  held out, before training: loss 2.500 nats per token, 25% of the lines completed exactly",
        "  held out, after training: loss 1.250 nats per token",
    ]


def test_the_error_that_the_job_reports_is_returned() -> None:
    line = '{"event": "error", "kind": "InputError", "what": "It is bad.", "where": "there", "next": "that"}'
    error = watch([line], Console(quiet=True))
    assert isinstance(error, InputError)
    assert (error.what, error.where, error.fix) == ("It is bad.", "there", "that")


def test_a_machine_without_the_training_libraries_is_told_what_to_install(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else find(name))
    assert main(["jobs", "run", str(recipe), "--runs", str(recipe.parent / "runs")]) == 2
    err = capsys.readouterr().err
    assert "peft" in err
    assert "pip install 'starfreight[train]'" in err
    assert not (recipe.parent / "runs").exists()
