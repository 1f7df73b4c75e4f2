"""A kind of job added by one file and one line in a table: on the local backend, and rendered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError, JobStopped
from starfreight.jobs.backends.interface import JobRequest, Location
from starfreight.jobs.backends.kubernetes.manifests.render import render
from starfreight.jobs.backends.table import BACKENDS, open_backend
from starfreight.jobs.kinds.table import KINDS, find_kind, kind_of, load_job
from starfreight.recipe import load_recipe

SUM = 5050


def test_every_kind_and_every_backend_in_the_tables_can_be_opened() -> None:
    assert [find_kind(name).name for name in KINDS] == list(KINDS)
    for name in BACKENDS:
        assert open_backend(name, Location()) is not None


def test_a_directory_without_a_record_is_not_a_job(tmp_path: Path) -> None:
    assert kind_of(tmp_path) is None
    with pytest.raises(InputError, match="holds no job"):
        load_job(tmp_path)


def test_a_toy_kind_runs_in_a_plain_process_and_is_seen_by_every_command(
    toy_kind: Any, toy_recipe: Path, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = toy_recipe.parent / "runs"
    backend = open_backend("local", Location(runs))
    submitted = backend.submit(JobRequest(toy_kind, load_recipe(toy_recipe)), console)
    (name,) = submitted.results
    assert submitted.report.data == {"runs": [{"run": name, "status": "done"}]}
    assert json.loads((Path(name) / "toy.json").read_text())["sum"] == SUM

    assert main(["jobs", "status", "count-toy", "--runs", str(runs), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert 0 < status.pop("disk")["used"] < 1
    assert status == {
        "gpu_faults": [], "run": str(runs / "count-toy"), "status": "done", "where": "local",
        "state": "the job finished", "exit_code": 0, "counted": 100,
    }  # fmt: skip
    assert main(["jobs", "list", "--runs", str(runs)]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "STATUS", "WHERE", "STARTED", "(UTC)", "RESULT"]
    assert row.split()[:3] == ["count-toy", "done", "local"] and row.endswith(f"  sum {SUM}")
    assert main(["jobs", "logs", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Counting" and lines[-1] == f"sum {SUM}" and len(lines) == 102

    before = (Path(name) / "job.json").read_bytes()
    assert backend.submit(JobRequest(toy_kind, load_recipe(toy_recipe)), console).results == (name,)
    assert (Path(name) / "job.json").read_bytes() == before  # It was not run again.


def test_a_toy_job_is_stopped_with_its_checkpoint_and_resumed(
    toy_kind: Any,
    toy_recipe: Path,
    console: Console,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = toy_recipe.parent / "runs"
    raised: list[BaseException] = []

    def stop() -> None:
        try:
            record = runs / "count-toy" / "toy.json"
            while not record.exists() or json.loads(record.read_text())["counted"] < 3:
                time.sleep(0.01)
            open_backend("local", Location(runs)).cancel("count-toy", console, patience=60)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(JobStopped, match="The count was stopped"):
        open_backend("local", Location(runs)).submit(JobRequest(toy_kind, load_recipe(toy_recipe)), console)
    thread.join()
    assert not raised
    path = runs / "count-toy" / "toy.json"
    record = json.loads(path.read_text())
    assert record["status"] == "stopped" and 3 <= record["counted"] < 100

    path.write_text(json.dumps(record | {"pause": 0}))
    assert main(["jobs", "resume", "count-toy", "--runs", str(runs), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert row["status"] == "done"
    assert json.loads((runs / "count-toy" / "toy.json").read_text())["sum"] == SUM


def test_a_missing_library_of_a_kind_is_named_before_anything_is_prepared(
    toy_kind: Any, toy_recipe: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(toy_kind), "libraries", ("json", "no_such_library"))
    runs = toy_recipe.parent / "runs"
    with pytest.raises(InputError, match="Counting needs no_such_library") as error:
        open_backend("local", Location(runs)).submit(JobRequest(toy_kind, load_recipe(toy_recipe)), console)
    assert "starfreight[toy]" in str(error.value.fix)
    assert not runs.exists()


def test_a_toy_kind_is_rendered_for_a_cluster_beside_the_training_of_the_same_recipe(
    toy_kind: Any, toy_recipe: Path, validate_manifest: Callable[..., None]
) -> None:
    image = "registry.example/starfreight/toy@sha256:" + "1" * 64
    file = load_recipe(toy_recipe).with_run_options(where="kubernetes", image=image, gpus=0)
    toy, training = render(file, kind=toy_kind), render(file)
    job = toy.documents[-1]
    validate_manifest(job)
    pod = job["spec"]["template"]["spec"]
    steps = [step["name"] for step in (*pod.get("initContainers", ()), *pod["containers"])]
    assert steps == ["toy"] or steps == ["fetch", "toy"]
    assert pod["containers"][0]["image"] == image
    assert pod["containers"][0]["args"][4:6] == ["toy", "/etc/starfreight/recipe.yaml"]
    assert job["metadata"]["labels"]["app.kubernetes.io/component"] == "counting"
    # Two kinds of jobs of one recipe do not meet in the cluster.
    assert toy.name != training.name
    assert toy.results == (toy.name,)
