"""Runs workflows of GitHub Actions on this machine, as a runner does.

Each ``run:`` is a script for bash in a process of its own, with the environment files (``GITHUB_ENV``,
``GITHUB_OUTPUT``, ``GITHUB_PATH``, ``GITHUB_STEP_SUMMARY``). Our own actions and reusable workflows are run
step by step. Foreign actions are Python functions, such as those of :mod:`workflow_actions`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from workflow_expressions import as_text, evaluate, fill

ROOT = Path(__file__).parents[2]
Action = Callable[["Job", dict[str, str]], dict[str, str]]


@dataclass
class JobResult:
    """``success``, ``failure`` or ``skipped``, and the outputs."""

    result: str
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Machine:
    """What all jobs of a workflow run share.

    Attributes:
        folder: a directory of its own for each job, and the artifacts.
        source: the caller's repository.
        actions: foreign actions by name, without the commit; also replaces one of ours, by its path.
        github: the context of that name.
        secrets: given by the caller.
        overrides: inputs of our own actions by path, e.g. for a registry over plain http.
        environment: more variables for all steps.
        artifact_ids: the id of the artifact that has a name now.
    ran: each job that was run.
        log: the output of every step.
        summary: all job summaries.
    """

    folder: Path
    source: Path
    actions: dict[str, Action]
    github: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, dict[str, str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    artifact_ids: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    log: str = ""
    summary: str = ""

    @property
    def artifacts(self) -> Path:
        """The directory of artifacts, by name."""
        return self.folder / "artifacts"


@dataclass
class Job:
    """A running job: its workspace, its files, its shell (``defaults.run.shell``) and its variables."""

    machine: Machine
    name: str
    contexts: dict[str, Any]
    permissions: dict[str, str]
    shell: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        """``github.workspace``."""
        return self.machine.folder / self.name / "workspace"

    @property
    def temporary(self) -> Path:
        """``runner.temp``."""
        return self.machine.folder / self.name / "temp"


def run_workflow(
    machine: Machine,
    path: str,
    inputs: dict[str, Any],
    caller: str = "",
    permissions: dict[str, str] | None = None,
) -> dict[str, JobResult]:
    """Runs the jobs of a reusable workflow, in the order of their ``needs``.

    Args:
        machine: shared by all jobs.
        path: from the repository, e.g. ``.github/workflows/train.yml``.
        inputs: of the call; others have their defaults. Unknown ones are refused, as GitHub does.
        caller: name of the calling job, for directories.
        permissions: of the calling job, for jobs without any of their own.
    """
    workflow = yaml.safe_load((ROOT / path).read_text())
    declared = workflow[True]["workflow_call"]["inputs"]
    assert set(inputs) <= set(declared), f"unknown inputs: {set(inputs) - set(declared)}"
    missing = [name for name, each in declared.items() if each.get("required") and name not in inputs]
    assert not missing, f"missing inputs: {missing}"
    given = {name: inputs.get(name, each.get("default")) for name, each in declared.items()}
    secrets = machine.secrets if not caller else {}
    results: dict[str, JobResult] = {}
    ancestors: dict[str, set[str]] = {}
    for name, job in workflow["jobs"].items():
        needs = job.get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        assert all(each in results for each in needs), f"{name} stands before its needs"
        contexts = {
            "github": dict(machine.github),
            "inputs": given,
            "secrets": secrets or machine.secrets,
            "needs": {each: vars(results[each]) for each in needs},
            "job": {
                "workflow_ref": f"starfreight/starfreight/{path}@refs/heads/main",
                "workflow_sha": "c" * 40,
            },
        }
        states = [results[each].result for each in needs]
        # failure() is about all jobs before this one, success() about its needs.
        ancestors[name] = set(needs).union(*(ancestors[each] for each in needs))
        failed = any(results[each].result == "failure" for each in ancestors[name])
        condition = str(job.get("if", "success()")).strip().removeprefix("${{").removesuffix("}}")
        if not any(word in condition for word in ("success(", "failure(", "cancelled(", "always(")):
            condition = f"success() && ({condition})"
        wanted = evaluate(
            condition, contexts,
            success=lambda states=states: all(each == "success" for each in states),
            failure=lambda failed=failed: failed, cancelled=lambda: False, always=lambda: True,
        )  # fmt: skip
        if not wanted:
            results[name] = JobResult("skipped")
            continue
        full = f"{caller}-{name}" if caller else name
        machine.ran.append(full)
        if "uses" in job:
            called = run_workflow(
                machine, job["uses"].removeprefix("$/"), fill(job.get("with", {}), contexts), full,
                job["permissions"],
            )  # fmt: skip
            outputs = yaml.safe_load((ROOT / job["uses"].removeprefix("$/")).read_text())[True][
                "workflow_call"
            ]
            inner = {"jobs": {each: vars(result) for each, result in called.items()}}
            values = {key: fill(each["value"], inner) for key, each in outputs.get("outputs", {}).items()}
            bad = any(each.result == "failure" for each in called.values())
            results[name] = JobResult("failure" if bad else "success", values)
        else:
            shell = workflow.get("defaults", {}).get("run", {}).get("shell", "")
            results[name] = _run_job(machine, full, job, contexts, permissions or {}, shell)
    return results


def _run_job(
    machine: Machine,
    name: str,
    job: dict[str, Any],
    contexts: dict[str, Any],
    permissions: dict[str, str],
    shell: str,
) -> JobResult:
    running = Job(machine, name, contexts, dict(job.get("permissions", permissions)), shell)
    for folder in (running.workspace, running.temporary):
        folder.mkdir(parents=True)
    contexts["github"] |= {"workspace": str(running.workspace)}
    contexts["runner"] = {"temp": str(running.temporary), "os": "Linux"}
    steps: dict[str, Any] = {}
    ok = run_steps(running, job["steps"], contexts | {"steps": steps}, steps)
    outputs = fill(job.get("outputs", {}), contexts | {"steps": steps})
    return JobResult(
        "success" if ok else "failure", {key: as_text(value) for key, value in outputs.items() if value}
    )


def run_steps(job: Job, steps: list[dict[str, Any]], contexts: dict[str, Any], done: dict[str, Any]) -> bool:
    """Runs steps one after another; false once one has failed, and those with ``always()`` after it."""
    ok = True
    for number, step in enumerate(steps):
        state = {"success": lambda ok=ok: ok, "failure": lambda ok=ok: not ok}
        state |= {"always": lambda: True, "cancelled": lambda: False}
        condition = str(step.get("if", "success()")).strip().removeprefix("${{").removesuffix("}}")
        if not any(f"{word}(" in condition for word in state):
            condition = f"success() && ({condition})"
        identifier = step.get("id", f"step {number}")
        if not evaluate(condition, contexts, **state):
            done[identifier] = {"outcome": "skipped", "outputs": {}}
            continue
        job.machine.log += f"--- {job.name}: {step.get('name', step.get('uses'))}\n"
        if "run" in step:
            passed, outputs = _run_script(job, step, contexts)
        else:
            passed, outputs = _use(job, step, contexts)
        done[identifier] = {"outcome": "success" if passed else "failure", "outputs": outputs}
        ok = ok and passed
    return ok


def _use(job: Job, step: dict[str, Any], contexts: dict[str, Any]) -> tuple[bool, dict[str, str]]:
    name, _, _ = step["uses"].partition("@")
    inputs = {key: as_text(value) for key, value in fill(step.get("with", {}), contexts).items()}
    if name in job.machine.actions:
        try:
            return True, job.machine.actions[name](job, inputs)
        except AssertionError as error:
            job.machine.log += f"{name}: {error}\n"
            return False, {}
    assert name.startswith("$/"), f"no such action here: {name}"
    folder = ROOT / name.removeprefix("$/")
    action = yaml.safe_load((folder / "action.yml").read_text())
    assert set(inputs) <= set(action["inputs"]), f"{name} has no inputs {set(inputs) - set(action['inputs'])}"
    inner = contexts | {"github": contexts["github"] | {"action_path": str(folder)}}
    # An input that is given, even as an empty text, has no default.
    given = {
        key: inputs.get(key, as_text(fill(each.get("default", ""), inner)))
        for key, each in action["inputs"].items()
    } | job.machine.overrides.get(name, {})
    steps: dict[str, Any] = {}
    inner |= {"inputs": given, "steps": steps}
    # Secrets, needs and inputs of the workflow are unknown in an action.
    for hidden in ("secrets", "needs"):
        inner.pop(hidden, None)
    ok = run_steps(job, action["runs"]["steps"], inner, steps)
    values = {key: as_text(fill(each["value"], inner)) for key, each in action.get("outputs", {}).items()}
    return ok, values


def _run_script(job: Job, step: dict[str, Any], contexts: dict[str, Any]) -> tuple[bool, dict[str, str]]:
    assert "${{" not in step["run"], "an expression in a script could be filled with commands"
    files = {name: job.temporary / f"_{name.lower()}" for name in ("ENV", "OUTPUT", "PATH", "STEP_SUMMARY")}
    for path in files.values():
        path.write_text("")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ACTIONS_ID_TOKEN")}
    if job.permissions.get("id-token") == "write":
        environment = dict(os.environ)
    environment |= job.machine.environment | job.environment
    environment |= {key: as_text(value) for key, value in fill(step.get("env", {}), contexts).items()}
    environment |= {f"GITHUB_{name}": str(path) for name, path in files.items()}
    for name in ("repository", "workflow_ref", "actor", "run_id", "repository_owner"):
        environment[f"GITHUB_{name.upper()}"] = str(contexts["github"].get(name, ""))
    environment |= {"RUNNER_TEMP": str(job.temporary), "GITHUB_WORKSPACE": str(job.workspace)}
    environment["PATH"] = ":".join([*reversed(job.path), environment["PATH"]])
    folder = job.workspace / as_text(fill(step.get("working-directory", "."), contexts))
    # GitHub's default has no pipefail.
    given = step.get("shell", job.shell)
    shell = [
        "bash",
        *(("--noprofile", "--norc", "-e", "-o", "pipefail") if given else ("-e",)),
        "-c",
        step["run"],
    ]
    done = subprocess.run(
        shell, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=900,
    )  # fmt: skip
    job.machine.log += done.stdout
    job.environment |= read_values(files["ENV"].read_text())
    job.path += files["PATH"].read_text().split()
    job.machine.summary += files["STEP_SUMMARY"].read_text()
    return done.returncode == 0, read_values(files["OUTPUT"].read_text())


def read_values(text: str) -> dict[str, str]:
    """The values in an environment file: ``NAME=VALUE``, or ``NAME<<END``, lines, and ``END``."""
    values, lines = {}, iter(text.splitlines())
    for line in lines:
        name, equals, value = line.partition("=")
        if "<<" in name:
            name, _, end = line.partition("<<")
            body = []
            for each in lines:
                if each == end:
                    break
                body.append(each)
            value, equals = "\n".join(body), "="
        assert equals, f"not a line of an environment file: {line!r}"
        values[name] = value
    return values
