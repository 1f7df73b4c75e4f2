"""Packages of jobs with results: sent by the step that packages, and brought home with their run."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.jobs.kinds.table import find_kind
from starfreight.jobs.results.stage import stage
from starfreight.packager.layout import verify_layout
from starfreight.results.address import Place, parse_place
from starfreight.results.table import open_store

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
RUN = GOLDEN / "finished-runs" / "golden-fim-de8303b786"
PACKAGE = GOLDEN / "finished-packages" / RUN.name


@pytest.fixture
def place(registry: Any, plain_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A store with the run of a job, and an empty current directory."""
    found = parse_place(f"oci://{registry.host}/team/{tmp_path.name.replace('_', '-').lower()}")
    (tmp_path / "stage").mkdir()
    index = stage(find_kind("train"), RUN, "acme-job", tmp_path / "stage")
    names = [RUN.name, "acme-job"]
    open_store(found, write=True).put(index, tmp_path / "stage", names, lambda amount, what=None: None)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return found


def step(place: Place, volume: Path, *command: str) -> subprocess.Popen[str]:
    """Starts the step that packages."""
    (volume / ".jobs").mkdir(parents=True, exist_ok=True)
    if not (volume / ".jobs/acme-job").is_symlink():
        (volume / ".jobs/acme-job").symlink_to(Path("..") / RUN.name)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "starfreight.jobs.backends.kubernetes.package_step",
         "--results", str(place), "--name", "acme-job", "--run", str(volume / ".jobs/acme-job"),
         "--package", str(volume / "packages/acme-job"), "--", *command],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def copy_package(volume: Path) -> tuple[str, ...]:
    """A command that makes the package: the golden one is copied."""
    copy = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"
    return (sys.executable, "-c", copy, str(PACKAGE), str(volume / "packages/acme-job"))


def test_the_package_comes_home_with_the_run(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = step(place, tmp_path / "volume", *copy_package(tmp_path / "volume"))
    process.communicate(timeout=60)
    assert process.returncode == 0
    shutil.rmtree(tmp_path / "volume")
    assert main(["jobs", "fetch", f"{place}:acme-job", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"run": f"runs/{RUN.name}", "package": f"packages/{RUN.name}"}
    assert verify_layout(Path(found["package"]), Console(quiet=True)).problems == ()
    for file in PACKAGE.rglob("*"):
        if file.is_file():
            assert (Path(found["package"]) / file.relative_to(PACKAGE)).read_bytes() == file.read_bytes()
    # By the id of the run, too; and the run alone.
    assert main(["jobs", "fetch", f"{place}:{RUN.name}", "--json"]) == 0
    assert "package" in json.loads(capsys.readouterr().out)
    assert main(["jobs", "fetch", f"{place}:{RUN.name}", "--runs", "alone", "--run-only", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": f"alone/{RUN.name}"}


def test_a_new_pod_finds_the_package_finished(place: Place, tmp_path: Path) -> None:
    step(place, tmp_path / "1", *copy_package(tmp_path / "1")).communicate(timeout=60)
    made = tmp_path / "2/packages/acme-job/package.json"
    second = step(place, tmp_path / "2", "cmp", str(made), str(PACKAGE / "package.json"))
    second.communicate(timeout=60)
    assert second.returncode == 0


def test_a_job_without_a_package_is_fetched_without_one(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "fetch", f"{place}:acme-job", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": f"runs/{RUN.name}"}
    assert main(["jobs", "fetch", f"{place}:acme-job", "--packages", "packages"]) == 2
    assert "The job has sent no package yet" in capsys.readouterr().err
    assert not Path("packages").exists()


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_command_that_fails_keeps_its_exit_code_and_sends_nothing(
    place: Place, tmp_path: Path, code: int
) -> None:
    process = step(place, tmp_path / "volume", sys.executable, "-c", f"raise SystemExit({code})")
    process.communicate(timeout=60)
    assert process.returncode == code
    assert open_store(place).find("acme-job.package") is None


def test_a_package_that_cannot_be_sent_is_a_failure_of_the_step_that_is_retried(
    place: Place, tmp_path: Path, free_port: Any
) -> None:
    away = parse_place(f"oci+http://127.0.0.1:{free_port()}/team/runs")
    process = step(away, tmp_path / "volume", *copy_package(tmp_path / "volume"))
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 4
    assert "Error: " in errors


def test_a_stop_reaches_the_command(place: Place, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = step(
        place, tmp_path / "volume", "sh", "-c", f"trap 'exit 75' TERM; touch {ready}; sleep 30 & wait"
    )
    end = time.monotonic() + 60
    while not ready.exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 75


def test_a_package_is_built_from_the_address_of_a_run(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    base = str(GOLDEN / "inputs/base")
    command = ["package", "build", f"{place}:{RUN.name}", "--base", base, "--no-loss-check", "--json"]
    assert main(command) == 0
    built = json.loads(capsys.readouterr().out)
    assert built["package"] == f"packages/{RUN.name}"
    assert verify_layout(Path(built["package"]), Console(quiet=True)).problems == ()
    assert (Path("runs") / RUN.name / "run.json").is_file()
    # The name of a job would be another directory: the package has the id of the run.
    assert main(["package", "build", f"{place}:none", "--base", base]) == 2
    assert "The result does not exist" in capsys.readouterr().err
