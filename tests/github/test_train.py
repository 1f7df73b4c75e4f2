"""The training workflow, run as GitHub runs it: each script in a shell, each action step by step."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from github_api import RUN, serve_runs
from private_ca import WORKFLOW
from private_sigstore import ISSUER, PrivateSigstore
from workflow_actions import all_actions
from workflow_runner import Machine, run_workflow

ROOT = Path(__file__).parents[2]
TRAIN = ".github/workflows/train.yml"
PUBLISH = "$/.github/actions/publish"

# In the place of coreutils' timeout: the time is up after three more steps, as many times as the file says.
STOP = """#!{python}
import pathlib, signal, subprocess, sys, time
assert sys.argv[1:5] == ["--foreground", "--signal=TERM", "--kill-after=900", "320m"]
runs, left = pathlib.Path(sys.argv[sys.argv.index("--runs") + 1]), pathlib.Path({left!r})

def steps():
    return sum(path.read_text().count("learning_rate") for path in runs.glob("*/metrics.jsonl"))

before, job = steps(), subprocess.Popen(sys.argv[5:])
while int(left.read_text()) and job.poll() is None:
    if steps() >= before + 3:
        job.send_signal(signal.SIGTERM)
        job.wait()
        left.write_text(str(int(left.read_text()) - 1))
        sys.exit(124)
    time.sleep(0.05)
sys.exit(job.wait())
"""


def write_caller(folder: Path, **changes: Any) -> None:
    """A caller's repository: a recipe and its data."""
    folder.mkdir()
    sample = ROOT / "starfreight" / "commands" / "sample" / "pairs.jsonl"
    (folder / "pairs.jsonl").write_bytes(sample.read_bytes())
    recipe = {
        "version": 1,
        "name": "from-a-workflow",
        "base": {"model": "builtin:starter"},
        "data": [{"source": "./pairs.jsonl", "format": "instruct", "license": "Apache-2.0"}],
        "training": {"sequence_length": 128, "gradient_accumulation": 1, "steps": 6},
        "package": {"quantizations": ["Q8_0"]},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe | changes))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Runners for one workflow run of the repository acme/coder."""
    write_caller(tmp_path / "caller")
    github = {
        "repository": "acme/coder", "repository_owner": "acme", "ref": "refs/heads/main", "run_id": "17",
        "ref_name": "main",
        "actor": "someone", "token": "canary-token", "workflow_ref": "acme/coder/.github/workflows/t.yml@x",
    }  # fmt: skip
    environment = {"HF_HUB_OFFLINE": "1", "STARFREIGHT_NO_MEASURE": "1"}
    return Machine(tmp_path / "jobs", tmp_path / "caller", all_actions(), github, environment=environment)


def limit_time(machine: Machine, folder: Path, stops: int) -> None:
    """Stops as many parts after three steps each."""
    shims = folder / "shims"
    shims.mkdir(exist_ok=True)
    (folder / "stops").write_text(str(stops))
    (shims / "timeout").write_text(STOP.format(python=sys.executable, left=str(folder / "stops")))
    (shims / "timeout").chmod(stat.S_IRWXU)
    machine.environment["PATH"] = f"{shims}:/usr/local/bin:/usr/bin:/bin"


@pytest.mark.parametrize("stops", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_training_is_stopped_continued_signed_and_published(
    stops: bool,
    machine: Machine,
    registry: Any,
    private_sigstore: PrivateSigstore,
    tmp_path: Path,
) -> None:
    limit_time(machine, tmp_path, 1 if stops else 0)
    trust = str(private_sigstore.trust_config)
    machine.overrides[PUBLISH] = {"insecure": "true", "trust-config": trust, "username": "", "password": ""}
    reference = f"{registry.host}/acme/coder:1.0"
    results = run_workflow(machine, TRAIN, {"recipe": "recipe.yaml", "reference": reference})
    assert results["publish"].result == "success", machine.log
    second = ["train-2", "train-2-part"] if stops else []
    assert machine.ran == ["check", "train", "train-part", *second, "publish"]
    assert results["train"].outputs["state"] == ("stopped" if stops else "done")
    # Steps before the stop were not repeated.
    (run,) = (machine.artifacts / "starfreight-run" / "runs").iterdir()
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [each["step"] for each in steps if "learning_rate" in each] == list(range(1, 7))
    assert "checkpoint" in (run / "job.log").read_text()
    # The identity is that of train.yml, and the release verifies by it.
    assert json.loads(results["publish"].outputs["references"]) == [reference]
    tags = json.loads(results["publish"].outputs["tags"])
    assert {f"{reference}-q8_0", reference} <= set(tags)
    verify = [Path(sys.executable).parent / "starfreight", "package", "verify", reference, "--insecure"]
    trusted = ["--issuer", ISSUER, "--trusted-root", str(private_sigstore.trusted_root)]
    accepted = subprocess.run([*verify, "--identity", WORKFLOW, *trusted], capture_output=True, text=True)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    other = WORKFLOW.replace("train.yml", "train-part.yml")
    assert subprocess.run([*verify, "--identity", other, *trusted], capture_output=True).returncode == 3
    # The summary has the plan, the losses as a chart, and the command that verifies.
    for part in ("<summary>Plan</summary>", "| from-a-workflow-", "xychart-beta", f"verify {reference} \\"):
        assert part in machine.summary, machine.summary
    assert "canary" not in machine.log + machine.summary
    assert not any(token in machine.log for token in private_sigstore.tokens)


def test_wrong_inputs_are_found_before_anything_is_trained(machine: Machine) -> None:
    wrong = {"recipe": "../recipe.yaml", "reference": "ghcr.io/Acme/coder", "where": "cloud", "minutes": "6h"}
    results = run_workflow(machine, TRAIN, wrong | {"sign": "key", "publish": "$(touch x)"})
    assert results["check"].result == "failure" and machine.ran == ["check"]
    for part in ("recipe: ", "reference: ", "where: ", "minutes: ", "sign: ", "publish: "):
        assert f"::error title=Train::{part}" in machine.log


def test_a_failed_training_keeps_its_state_and_publishes_nothing(machine: Machine) -> None:
    (machine.source / "recipe.yaml").write_text("version: 1\nname: [broken\n")
    results = run_workflow(
        machine, TRAIN, {"recipe": "recipe.yaml", "reference": "localhost:1/acme/coder:1.0"}
    )
    assert results["train"].result == "failure"
    assert results["train-2"].result == results["publish"].result == results["unfinished"].result == "skipped"


@pytest.mark.nightly
def test_a_training_longer_than_four_parts_continues_in_another_run(machine: Machine, tmp_path: Path) -> None:
    shutil.rmtree(machine.source)
    training = {"sequence_length": 128, "gradient_accumulation": 1, "steps": 24}
    write_caller(machine.source, training=training)
    limit_time(machine, tmp_path, 4)
    results = run_workflow(machine, TRAIN, {"recipe": "recipe.yaml"})
    assert results["train-4"].outputs["state"] == "stopped" and results["unfinished"].result == "failure"
    assert results["publish"].result == "skipped" and 'from_run: "17"' in machine.log
    with serve_runs({"17": RUN}) as api:
        github = machine.github | {"run_id": "18", "api_url": f"http://{api.host}"}
        again = replace(machine, folder=tmp_path / "again", github=github, ran=[])
        shutil.copytree(machine.artifacts, again.artifacts)
        results = run_workflow(again, TRAIN, {"recipe": "recipe.yaml", "from_run": "17"})
    assert results["train"].outputs["state"] == "done", again.log
    assert again.ran == ["check", "train", "train-part"]  # Nothing to publish to.
    (run,) = (again.artifacts / "starfreight-run" / "runs").iterdir()
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [each["step"] for each in steps if "learning_rate" in each] == list(range(1, 25))


@pytest.mark.nightly
def test_the_time_limit_stops_a_training(machine: Machine) -> None:
    shutil.rmtree(machine.source)
    training = {"sequence_length": 128, "gradient_accumulation": 1, "steps": 1_000_000}
    write_caller(machine.source, training=training)
    inputs = {"recipe": "recipe.yaml", "minutes": "1", "where": "runner", "runner": "x", "torch": "cpu"}
    inputs |= {"publish": "all", "name": "n", "part": "1"}
    permissions = {"contents": "read", "actions": "read"}
    path = ".github/workflows/train-part.yml"
    results = run_workflow(machine, path, inputs, "train", permissions)
    assert results["part"].outputs["state"] == "stopped", machine.log
    (run,) = (machine.artifacts / "n-state-1" / "runs").iterdir()
    assert not (machine.artifacts / "n-packages").exists()
    # A slow machine may be stopped before the first step.
    assert not (run / "metrics.jsonl").exists() or list((run / "checkpoints").iterdir())
