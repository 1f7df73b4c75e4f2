"""The run that ``from_run`` names is looked at before anything of it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from github_api import RUN, TOKEN, serve_runs
from workflow_actions import all_actions
from workflow_runner import Job, Machine, run_workflow

SCRIPT = Path(__file__).parents[2] / ".github/actions/check-inputs/check_run.py"
PULL_REQUEST = RUN | {"event": "pull_request", "head_branch": "patch-1"}
FORK = PULL_REQUEST | {"head_repository": {"full_name": "eve/coder"}}


def check(run: Any, branch: str = "main", **inputs: Any) -> subprocess.CompletedProcess[str]:
    with serve_runs({"17": run}) as server:
        environment = {
            "INPUTS": json.dumps({"from_run": "17", "from_any_branch": False} | inputs),
            "API": f"http://{server.host}", "TOKEN": TOKEN, "BRANCH": branch, "DEFAULT_BRANCH": "main",
            "GITHUB_REPOSITORY": "acme/coder",
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, str(SCRIPT)], env=os.environ | environment, capture_output=True, text=True
        )


@pytest.mark.parametrize(
    ("run", "branch"),
    [
        (RUN, "main"),
        (RUN | {"repository": {"full_name": "Acme/Coder"}}, "main"),
        (RUN | {"event": "push", "head_branch": "v1.0"}, "v1.0"),
        (RUN | {"event": "schedule"}, "v1.0"),
    ],
    ids=["same branch", "capitals", "same tag", "default branch"],
)
def test_a_run_of_the_repositorys_own_code_is_continued(run: dict[str, Any], branch: str) -> None:
    done = check(run, branch)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


REFUSED: dict[str, tuple[Any, str]] = {
    "fork": (FORK, "It ran the code of eve/coder, not of acme/coder."),
    "fork is gone": (RUN | {"head_repository": None}, "It ran the code of an unknown repository"),
    "other repository": (RUN | {"repository": {"full_name": "acme/other"}}, "It is a run of acme/other"),
    "pull request": (PULL_REQUEST, "It is a run for the event pull_request, not for one of push,"),
    "pull request of the default branch": (PULL_REQUEST | {"head_branch": "main"}, "event pull_request"),
    "comment": (RUN | {"event": "issue_comment"}, "event issue_comment"),
    "after another workflow": (RUN | {"event": "workflow_run"}, "event workflow_run"),
    "no event": ({**RUN, "event": None}, "event None"),
    "other branch": (RUN | {"head_branch": "patch-1"}, "It ran the code of patch-1, not of v1.0 or main."),
    "no branch": (RUN | {"head_branch": None}, "It ran the code of None"),
    "still running": (RUN | {"status": "in_progress"}, "It has not ended."),
    "no such run": (None, "There is no such run in acme/coder."),
    "no permission": (403, "GitHub answered 403. The caller must give the permission actions: read."),
    "no JSON": (b"<html>", "GitHub gave no answer that can be read"),
    "no object": (b"[]", "does not describe a run"),
    "too deep": (b"[" * 100_000, "GitHub gave no answer that can be read"),
    "commands": (RUN | {"head_branch": "x\n::set-output name=a::b"}, "x%0A::set-output"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_run_is_refused(name: str) -> None:
    run, words = REFUSED[name]
    done = check(run, "v1.0")
    assert done.returncode == 2 and done.stderr == ""
    assert done.stdout.startswith("::error title=Train::from_run: 17 cannot be continued. ")
    assert words in done.stdout and done.stdout.count("\n") == 1 and TOKEN not in done.stdout


@pytest.mark.parametrize(
    ("run", "code"), [(PULL_REQUEST, 0), (RUN | {"head_branch": "patch-1"}, 0), (FORK, 2)]
)
def test_another_branch_is_the_callers_decision_a_fork_is_not(run: dict[str, Any], code: int) -> None:
    assert check(run, from_any_branch=True).returncode == code


def test_the_token_goes_to_github_alone() -> None:
    with serve_runs({"17": RUN}) as other:
        # Another server, by its name: it would answer with a good run if it got the token.
        address = f"http://localhost:{other.server_address[1]}/repos/acme/coder/actions/runs/17"
        assert check(address).returncode == 2
        assert len(other.asked) == 1 and not other.authorizations


def test_nobody_is_asked_without_a_run() -> None:
    with serve_runs({}) as server:
        assert check(RUN, from_run="").returncode == 0 and not server.asked


@pytest.mark.parametrize(("run", "result"), [(FORK, "failure"), (PULL_REQUEST, "failure"), (RUN, "success")])
def test_the_workflow_uses_nothing_of_a_run_before_the_check(
    run: dict[str, Any], result: str, tmp_path: Path
) -> None:
    (tmp_path / "caller").mkdir()
    (tmp_path / "jobs/artifacts/starfreight-state-4/runs").mkdir(parents=True)
    taken: list[str] = []

    def download(job: Job, inputs: dict[str, str]) -> dict[str, str]:
        taken.append(inputs["name"])
        return {}

    actions = all_actions() | {"actions/download-artifact": download}
    with serve_runs({"17": run}) as server:
        github = {
            "repository": "acme/coder", "ref_name": "main", "run_id": "18", "token": TOKEN,
            "api_url": f"http://{server.host}", "event": {"repository": {"default_branch": "main"}},
        }  # fmt: skip
        machine = Machine(tmp_path / "jobs", tmp_path / "caller", actions, github)
        # There is no recipe, so that a training fails after the download.
        inputs = {"recipe": "missing.yaml", "from_run": "17"}
        results = run_workflow(machine, ".github/workflows/train.yml", inputs)
    assert results["check"].result == result, machine.log
    assert taken == (["starfreight-state-4"] if result == "success" else [])
    assert (machine.ran == ["check"]) is (result == "failure")
    assert TOKEN not in machine.log
