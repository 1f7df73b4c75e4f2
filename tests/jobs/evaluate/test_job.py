"""Evaluations as jobs: a real model from a package, code in the sandbox, and kills at any moment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.directory_lock import LOCK_PATIENCE
from starfreight.evaluation import Evaluation, Scores
from starfreight.jobs.evaluate.completion_run import sample_seed
from starfreight.package_evaluations import read_evaluations

PACKAGE = Path(__file__).parents[2] / "golden/finished-packages/golden-fim-de8303b786"

pytestmark = pytest.mark.usefixtures("sandbox")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a package in it, where commands run."""
    pytest.importorskip("xllamacpp")
    shutil.copytree(PACKAGE, tmp_path / "packages/golden")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(*arguments: str) -> int:
    return main(["jobs", "evaluate", *arguments, "--json"])


def the_evaluation(place: Path) -> Path:
    (found,) = (place / "runs").glob("*-eval-*")
    return found


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def test_a_package_is_evaluated_and_the_figures_belong_to_its_file(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("packages/golden", "--suite", "humaneval", "--limit", "4") == 0
    (found,) = result(capsys)["evaluations"]
    package = json.loads((place / "packages/golden/package.json").read_text())
    default = next(each for each in package["variants"] if each["quantization"] == package["default"])
    assert found["model"]["gguf"] == default["gguf"]["digest"]
    assert found["model"]["package"] == package["name"]
    directory = the_evaluation(place)
    record = Evaluation.load(directory)
    assert (record.status, record.id) == ("done", directory.name)
    (suite,) = record.results
    assert suite.source is not None and suite.source.count == 4
    assert suite.figure("pass@1") is not None
    assert record.sandbox is not None and record.sandbox.startswith("bubblewrap")
    assert len(Scores.load(directory, record).suites["humaneval"].figures["pass@1"]) == 4
    examples = json.loads((directory / "examples.json").read_text())["suites"]["humaneval"]
    assert len(examples) == 4 and all(each["prefix"] for each in examples)
    assert str(place) not in (directory / "evaluation.json").read_text()
    assert not (directory / "scratch").exists()


def test_the_same_command_finds_the_finished_evaluation(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("packages/golden", "--suite", "humaneval", "--limit", "2")
    assert evaluate(*arguments) == 0
    before = (the_evaluation(place) / "evaluation.json").read_bytes()
    package = (place / "packages/golden/package.json").read_bytes()
    assert evaluate(*arguments) == 0
    assert (the_evaluation(place) / "evaluation.json").read_bytes() == before
    assert (place / "packages/golden/package.json").read_bytes() == package
    # Other options are another evaluation.
    assert evaluate(*arguments, "--seed", "1") == 0
    assert len(list((place / "runs").glob("*-eval-*"))) == 2


def test_a_package_with_a_changed_file_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = json.loads((place / "packages/golden/package.json").read_text())
    digest = package["variants"][0]["gguf"]["digest"].removeprefix("sha256:")
    blob = place / "packages/golden/blobs/sha256" / digest
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    assert evaluate("packages/golden", "--suite", "humaneval", "--limit", "1") == 3
    assert "not the one that its record names" in capsys.readouterr().err
    # The same bytes elsewhere, by way of a link.
    blob.rename(place / "elsewhere")
    blob.symlink_to(place / "elsewhere")
    assert evaluate("packages/golden", "--suite", "humaneval", "--limit", "1") in (2, 3)
    assert not list(place.glob("runs/*/completions"))


@pytest.fixture
def killed(place: Path) -> Iterator[Path]:
    """The directory of an evaluation whose processes were killed after the first completions."""
    command = [sys.executable, "-m", "starfreight", "jobs", "evaluate", *LONG]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not any(place.glob("runs/*/completions/humaneval.jsonl")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        directory = the_evaluation(place)
        job = json.loads((directory / "job.json").read_text())
        while _lines(place) < 3:  # Without a pause: all is done in a tenth of a second.
            assert process.poll() is None and time.monotonic() < deadline
        os.kill(int(job["handle"]), signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    yield directory


LONGER = ("packages/golden", "--suite", "humaneval", "--limit", "12", "--samples", "3", "--temperature", "1")
LONG = ("packages/golden", "--suite", "humaneval", "--limit", "20", "--samples", "2", "--temperature", "0.8")


def _lines(place: Path) -> int:
    return (the_evaluation(place) / "completions/humaneval.jsonl").read_bytes().count(b"\n")


def test_after_kill_9_the_same_command_goes_on_and_gives_the_same_figures(
    place: Path, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = (killed / "completions/humaneval.jsonl").read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert 0 < kept.count(b"\n") < 40 and Evaluation.load(killed).status == "running"
    with (killed / "completions/humaneval.jsonl").open("ab") as stream:
        stream.write(b'{"problem": "HumanEval/0", "sam')
    monkeypatch.setenv(LOCK_PATIENCE, "20")  # Threads of the killed process may still be ending.
    assert evaluate(*LONG) == 0
    assert (killed / "completions/humaneval.jsonl").read_bytes().startswith(kept)
    resumed = (killed / "scores.json").read_bytes()
    figures = Evaluation.load(killed).results[0].figures
    shutil.rmtree(killed)
    assert evaluate(*LONG) == 0
    assert (killed / "scores.json").read_bytes() == resumed
    assert Evaluation.load(killed).results[0].figures == figures
    lines = (killed / "completions/humaneval.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 40
    assert all(each["seed"] == sample_seed(0, each["problem"], each["sample"]) for each in records)
    assert len({each["seed"] for each in records}) == 40


def test_code_that_ran_without_a_sandbox_is_never_hidden(
    place: Path, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOCK_PATIENCE, "20")
    # Recorded before the first program runs, and kept when the job goes on in a sandbox.
    record = Evaluation.load(killed)
    assert record.sandbox is not None and record.sandbox != "none"
    record.model_copy(update={"sandbox": "none"}).save(killed)
    assert evaluate(*LONG) == 0
    assert Evaluation.load(killed).sandbox == "none"
    # The same command without the option does not find the one with it.
    small = ("packages/golden", "--suite", "humaneval", "--limit", "1")
    assert evaluate(*small, "--allow-unsandboxed") == 0
    assert evaluate(*small) == 0
    assert len(list(place.glob("runs/*-eval-*"))) == 3


def test_a_stop_is_honoured_and_keeps_everything(place: Path) -> None:
    command = [sys.executable, "-m", "starfreight", "jobs", "evaluate", *LONGER]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not any(place.glob("runs/*/completions/humaneval.jsonl")) or _lines(place) < 1:
        assert process.poll() is None
        time.sleep(0.02)
    # Another command leaves the running job alone.
    assert evaluate(*LONGER) == 2
    assert process.poll() is None
    assert main(["jobs", "cancel", str(the_evaluation(place))]) == 0
    assert process.wait(60) == 75
    assert Evaluation.load(the_evaluation(place)).status == "stopped"
    assert main(["jobs", "resume", str(the_evaluation(place))]) == 0
    assert Evaluation.load(the_evaluation(place)).status == "done"
    # As after the same command, the package has the figures.
    (attached,) = read_evaluations(place / "packages/golden").evaluations
    assert attached.evaluation.id == the_evaluation(place).name
    package = (place / "packages/golden/package.json").read_bytes()
    assert evaluate(*LONGER) == 0
    assert (place / "packages/golden/package.json").read_bytes() == package


def test_baselines_and_quantizations_of_the_recipe_go_with_its_own_suites(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = (PACKAGE.parents[1] / "inputs/fim.yaml").read_text()
    asked = "evaluate: {suites: {humaneval: {limit: 1}}, quantizations: all, baselines: [base]}\n"
    (place / "recipe.yaml").write_text(recipe + asked)
    arguments = ("packages/golden", "--recipe", "recipe.yaml", "--suite", "humaneval")
    assert evaluate(*arguments) == 0
    (found,) = result(capsys)["evaluations"]
    assert found["results"][0]["source"]["count"] == 1
