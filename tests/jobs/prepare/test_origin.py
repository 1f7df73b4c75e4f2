"""The origin of a run: the commit of its recipe and its CI job, without secrets, users and host names."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.jobs.prepare.ci_identity import find_invoker
from starfreight.jobs.prepare.origin import as_variable, find_origin
from starfreight.jobs.prepare.recipe_source import find_recipe_source
from starfreight.origin import Invoker, Origin, RecipeSource
from starfreight.packager.build.build_package import build_package
from starfreight.run import Run

GOLDEN = Path(__file__).parents[2] / "golden"
CANARY = "canary-0a1b2c"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/coder",
    "GITHUB_WORKFLOW_REF": "acme/coder/.github/workflows/train.yml@refs/heads/main",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": COMMIT,
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_EVENT_NAME": "push",
    "RUNNER_ENVIRONMENT": "github-hosted",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.example.org/acme/coder",
    "CI_CONFIG_REF_URI": "gitlab.example.org/acme/coder//.gitlab-ci.yml@refs/heads/main",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_SHA": COMMIT,
    "CI_JOB_URL": "https://gitlab.example.org/acme/coder/-/jobs/5",
    "CI_PIPELINE_SOURCE": "schedule",
}
JENKINS = {
    "JENKINS_URL": "https://ci.example.org/",
    "BUILD_URL": "https://ci.example.org/job/coder/job/main/12/",
    "JOB_NAME": "coder/main",
    "GIT_URL": f"https://jane:{CANARY}@git.example.org/acme/coder.git",
    "GIT_BRANCH": "origin/main",
    "GIT_COMMIT": COMMIT,
}
SECRETS = {
    "GITHUB_TOKEN": CANARY,
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": CANARY,
    "ACTIONS_ID_TOKEN_REQUEST_URL": f"https://{CANARY}.example.org",
    "GITHUB_ACTOR": CANARY,
    "GITHUB_TRIGGERING_ACTOR": CANARY,
    "RUNNER_NAME": CANARY,
    "CI_JOB_TOKEN": CANARY,
    "CI_REPOSITORY_URL": f"https://gitlab-ci-token:{CANARY}@gitlab.example.org/acme/coder",
    "GITLAB_USER_LOGIN": CANARY,
    "GITLAB_USER_EMAIL": f"{CANARY}@example.org",
    "CI_RUNNER_DESCRIPTION": CANARY,
    "BUILD_USER": CANARY,
    "NODE_NAME": CANARY,
    "USER": CANARY,
    "HOSTNAME": CANARY,
    "HF_TOKEN": CANARY,
    "STARFREIGHT_REGISTRY_PASSWORD": CANARY,
}


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=x", "-c", f"user.email={CANARY}@example.org")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "recipe.yaml").write_text("name: x\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "recipe.yaml").write_text("name: y\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", CANARY)
    git(folder, "remote", "add", "origin", f"https://jane:{CANARY}@github.com/acme/coder.git")
    return folder


def test_the_commit_and_the_address_are_found_without_the_password(repository: Path) -> None:
    head = subprocess.check_output(["git", "-C", repository, "rev-parse", "HEAD"], text=True).strip()
    uri = "git+https://github.com/acme/coder.git"
    expected = RecipeSource(uri=uri, commit=head, dirty=False)
    assert find_recipe_source(repository) == find_recipe_source(repository / "sub") == expected


def test_changes_are_noted(repository: Path) -> None:
    def dirty(folder: Path = repository) -> bool | None:
        source = find_recipe_source(folder)
        return source.dirty if source is not None else None

    (repository / "runs").mkdir()
    (repository / "runs" / "run.json").write_text("{}")
    (repository / "notes.txt").write_text("not a recipe")
    assert dirty() is False  # What a run leaves behind is not a change.
    (repository / "other.yaml").write_text("name: z\n")
    assert dirty() is True  # A recipe that is not committed.
    assert dirty(repository / "sub") is False
    (repository / "other.yaml").unlink()
    (repository / "recipe.yaml").write_text("name: changed\n")
    assert dirty() is True and dirty(repository / "sub") is True


def test_no_commit_is_claimed_for_files_that_are_not_in_it(repository: Path, tmp_path: Path) -> None:
    (repository / "ignored").mkdir()
    (repository / "ignored" / "recipe.yaml").write_text("name: x\n")
    assert find_recipe_source(repository / "ignored") is None
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    assert find_recipe_source(tmp_path / "empty") is None
    assert find_recipe_source(tmp_path) is None
    assert find_recipe_source(tmp_path / "missing") is None


def test_variables_of_a_git_hook_do_not_name_another_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert find_recipe_source(tmp_path) is None


def test_a_repository_runs_no_program_and_is_not_written_to(repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    monitor = repository / "monitor.sh"
    monitor.write_text(f"#!/bin/sh\ntouch {marker}\n")
    monitor.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(monitor))
    index = (repository / ".git" / "index").read_bytes()
    (repository / "recipe.yaml").touch()
    assert find_recipe_source(repository) is not None
    assert not marker.exists()
    assert (repository / ".git" / "index").read_bytes() == index


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_recipe_source(repository) is None


def test_a_job_of_github_is_found() -> None:
    assert find_invoker(GITHUB) == Invoker(
        ci="github-actions",
        repository="https://github.com/acme/coder",
        workflow="acme/coder/.github/workflows/train.yml@refs/heads/main",
        ref="refs/heads/main",
        commit=COMMIT,
        run="https://github.com/acme/coder/actions/runs/77/attempts/2",
        event="push",
        runner="github-hosted",
    )
    forgejo = find_invoker(GITHUB | {"FORGEJO_ACTIONS": "true", "GITHUB_SERVER_URL": "https://codeberg.org"})
    assert forgejo is not None
    assert (forgejo.ci, forgejo.repository) == ("forgejo-actions", "https://codeberg.org/acme/coder")


def test_a_job_of_gitlab_is_found() -> None:
    found = find_invoker(GITLAB)
    assert found is not None
    assert (found.ci, found.ref, found.event) == ("gitlab-ci", "refs/heads/main", "schedule")
    assert found.run == "https://gitlab.example.org/acme/coder/-/jobs/5"
    tagged = find_invoker(GITLAB | {"CI_COMMIT_TAG": "v1"})
    assert tagged is not None and tagged.ref == "refs/tags/v1"


def test_a_job_of_jenkins_is_found_without_the_password_of_its_repository() -> None:
    found = find_invoker(JENKINS)
    assert found is not None
    assert found.repository == "https://git.example.org/acme/coder.git"
    assert (found.workflow, found.run) == ("coder/main", "https://ci.example.org/job/coder/job/main/12")


@pytest.mark.parametrize("variables", [GITHUB, GITLAB, JENKINS], ids=["github", "gitlab", "jenkins"])
@pytest.mark.parametrize(
    "value",
    ["", " ", CANARY + "\x1b[2J", f"https://a:{CANARY}@x/y", "x" * 5000, "ab\ncd", "\u202e", "\udce9"],
)
def test_odd_values_are_left_out(variables: dict[str, str], value: str) -> None:
    marker = next(iter(variables))
    for name in variables:
        if name != marker:
            found = find_invoker(variables | {name: value})
            assert found is not None
            text = found.model_dump_json()
            assert CANARY not in text and "\x1b" not in text and "xxxxx" not in text


def test_outside_of_repositories_and_ci_there_is_no_origin(tmp_path: Path) -> None:
    assert find_origin(tmp_path, {"PATH": "/usr/bin"} | SECRETS) is None


def test_a_pod_takes_the_origin_from_its_variable_alone(repository: Path) -> None:
    origin = Origin(source=RecipeSource(commit=COMMIT), invoker=find_invoker(GITHUB))
    pod = {"STARFREIGHT_IMAGE": "sha256:" + "0" * 64}
    handed = pod | {"STARFREIGHT_ORIGIN": as_variable(origin)}
    assert find_origin(repository, handed) == origin
    assert find_origin(repository, pod | GITHUB) is None


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "[]",
        '{"more":1}',
        '{"source":{"commit":"HEAD"}}',
        '{"invoker":{"ci":"x","user":"jane"}}',
        "[" * 9999,
    ],
)
def test_a_variable_without_an_origin_is_an_error(value: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="origin of the run is not valid") as caught:
        find_origin(tmp_path, {"STARFREIGHT_ORIGIN": value})
    assert caught.value.exit_code == 2


def test_a_run_keeps_its_origin_until_its_recipe_changes(
    write_job: Callable[..., Path],
    prepare: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (GITHUB | SECRETS).items():
        monkeypatch.setenv(name, value)
    run = prepare(write_job())
    assert CANARY not in (run / "run.json").read_text()
    first = Run.load(run).origin
    assert first is not None and first.invoker is not None and first.invoker.event == "push"
    monkeypatch.setenv("GITHUB_EVENT_NAME", "schedule")
    assert Run.load(prepare(write_job())).origin == first
    changed = Run.load(prepare(write_job(package={"quantizations": ["F16"]}))).origin
    assert changed is not None and changed.invoker is not None and changed.invoker.event == "schedule"


def test_a_run_without_an_origin_is_written_as_before(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for marker in ("GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL"):
        monkeypatch.delenv(marker, raising=False)
    assert "origin" not in json.loads((prepare(write_job()) / "run.json").read_text())


def test_no_secret_is_in_a_package(
    repository: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(GOLDEN / "finished-runs" / "golden-fim-de8303b786", tmp_path / "run")
    for name, value in (GITHUB | SECRETS).items():
        monkeypatch.setenv(name, value)
    record = Run.load(run)
    origin = find_origin(repository)
    assert origin is not None and origin.source is not None and origin.invoker is not None
    record.model_copy(update={"origin": origin}).save(run)
    package = build_package(run, tmp_path / "p", GOLDEN / "inputs" / "base", console)
    files = [path for path in (tmp_path / "p").rglob("*") if path.is_file()]
    assert not [path for path in (*files, run / "run.json") if CANARY.encode() in path.read_bytes()]
    blob = tmp_path / "p/blobs/sha256" / package.provenance.digest.removeprefix("sha256:")
    statement: Any = json.loads(blob.read_bytes())
    invoker = statement["predicate"]["runDetails"]["starfreight_invoker"]
    assert invoker == origin.invoker.model_dump()
    resources = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {
        "name": "recipe",
        "uri": "git+https://github.com/acme/coder.git",
        "digest": {"gitCommit": origin.source.commit},
        "annotations": {"dirty": False},
    } in resources
