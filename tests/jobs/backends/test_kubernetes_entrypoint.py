"""The entry point inside a pod, alone and as one of several nodes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.jobs.protocol.progress import watch
from starfreight.run import Run

WriteJob = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts the entry point like Kubernetes does."""

    def begin(recipe: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                sys.executable, "-P", "-m", "starfreight.jobs.backends.kubernetes.entrypoint",
                "train", str(recipe), "--folder", str(tmp_path), "--runs", str(tmp_path / "volume"),
                "--name", "coder", *arguments,
            ],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    return begin


def events_of(process: subprocess.Popen[str]) -> list[Mapping[str, Any]]:
    output, _ = process.communicate(timeout=120)
    return [json.loads(line) for line in output.splitlines() if line.startswith('{"event"')]


def listens_to_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (caught,) = (line.split()[1] for line in status if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def away_from_its_folder(recipe: Path, tmp_path: Path) -> Path:
    """Moves the recipe out of the directory of its relative paths, as in a ConfigMap."""
    moved = tmp_path / "etc" / "recipe.yaml"
    moved.parent.mkdir()
    return recipe.rename(moved)


def test_it_prepares_and_trains_and_leaves_a_link_for_the_next_step(
    write_job: WriteJob, start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = away_from_its_folder(write_job(), tmp_path)
    process = start(recipe)
    events = events_of(process)
    assert process.returncode == 0
    run = (tmp_path / "volume/.jobs/coder").resolve()
    assert Run.load(run).is_done(run)
    assert [event["id"] for event in events if event["event"] == "run"] == [run.name]
    assert watch((json.dumps(event) for event in events), Console()) is None
    assert "Checking the inputs" in capfd.readouterr().err
    again = start(recipe)
    assert not [event for event in events_of(again) if event["event"] == "step"]
    assert again.returncode == 0


def test_a_pod_of_an_indexed_job_trains_the_variant_of_its_index(
    write_job: WriteJob, start: Start, tmp_path: Path
) -> None:
    recipe = write_job(sweep={"training.rank": [2, 4]}, training={"steps": 1})
    process = start(recipe, JOB_COMPLETION_INDEX="1")
    events_of(process)
    assert process.returncode == 0
    assert Run.load(tmp_path / "volume/.jobs/coder-1").recipe.training.rank == 4
    beyond = start(recipe, JOB_COMPLETION_INDEX="2")
    (error,) = (event for event in events_of(beyond) if event["event"] == "error")
    assert beyond.returncode == 2
    assert "2 variants" in error["what"]


def test_the_pods_of_a_sweep_prepare_the_same_data_at_the_same_time(
    write_job: WriteJob, start: Start, tmp_path: Path
) -> None:
    recipe = write_job(sweep={"training.rank": [2, 4]}, training={"steps": 1})
    (tmp_path / "volume").mkdir()
    pods = [start(recipe, JOB_COMPLETION_INDEX=str(index)) for index in range(2)]
    for pod in pods:
        events = events_of(pod)
        assert pod.returncode == 0, events[-1]
    assert not list((tmp_path / "volume").glob(".partial-*"))


@pytest.mark.parametrize(("change", "code"), [({"name": "UPPER"}, 2), ({"data": {"source": "./no"}}, 2)])
def test_a_bad_recipe_is_one_event_and_the_documented_exit_code(
    write_job: WriteJob, start: Start, change: dict[str, Any], code: int
) -> None:
    process = start(write_job(**change))
    (error,) = (event for event in events_of(process) if event["event"] == "error")
    assert process.returncode == code == error["exit_code"]


def test_a_stop_before_training_is_a_stop(write_job: WriteJob, start: Start) -> None:
    recipe = write_job()
    process = start(recipe, PET_NODE_RANK="1", PET_NNODES="2")  # It waits for a first node that never comes.
    end = time.monotonic() + 60
    while not listens_to_sigterm(process.pid):  # Without a pause: the first moment is the one that matters.
        assert time.monotonic() < end
    process.send_signal(signal.SIGTERM)
    (error,) = (event for event in events_of(process) if event["event"] == "error")
    assert process.returncode == 75 == error["exit_code"]


@pytest.mark.nightly
def test_two_nodes_learn_what_two_processes_of_one_do(
    write_job: WriteJob,
    start: Start,
    start_job: Callable[[Path], Any],
    prepare: Callable[[Path], Path],
    adapter_digest: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    training = {"steps": 4, "dropout": 0}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    recipe = write_job(training=training)
    nodes = [
        start(
            recipe, PET_NNODES="2", PET_NODE_RANK=str(rank), PET_MASTER_ADDR="127.0.0.1", PET_MASTER_PORT=port
        )
        for rank in (1, 0)
    ]
    told = [events_of(node) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0]
    assert not told[0]  # Only the first node tells how things go.
    run = tmp_path / "volume/.jobs/coder"
    machine = Run.load(run).machine
    assert machine is not None
    assert machine.processes == 2
    alone = prepare(write_job(training=training, run={"threads": 1, "processes": 2}))
    assert start_job(alone).wait() == 0
    assert adapter_digest(run) == adapter_digest(alone)
