"""The files under .github: their schemas, their linters, and rules of our own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
CALLERS = sorted((ROOT / "examples" / "github").glob(".github/workflows/*.yml"))
ALL = [*WORKFLOWS, *ACTIONS, *CALLERS]

# Read from the actions' own repositories, November 2026: tag -> commit.
KNOWN = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/attest": ("1e69f48acb82d1966a394da916b4c1698aa569d6", "v4.2.2"),
    "pypa/gh-action-pypi-publish": ("cef221092ed1bacb1cc03d23a2d87d1d172e277b", "v1.14.0"),
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def command(program: str) -> str:
    """A linter of the development environment."""
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{program} is not installed: pip install -e '.[dev]'")
    return found


def check(*arguments: str) -> None:
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def steps(path: Path) -> list[dict[str, Any]]:
    data = yaml.safe_load(path.read_text())
    jobs = data["jobs"].values() if "jobs" in data else [data["runs"]]
    return [step for job in jobs for step in job.get("steps", [])]


def test_zizmor_finds_nothing() -> None:
    check(
        command("zizmor"),
        "--offline",
        "--quiet",
        "--no-progress",
        "--no-config",
        ".github",
        *map(name, CALLERS),
    )


def test_actionlint_finds_nothing() -> None:
    check(command("actionlint"), *map(name, [*WORKFLOWS, *CALLERS]))


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("github-workflows", [*WORKFLOWS, *CALLERS]),
        ("github-actions", ACTIONS),
        ("dependabot", [ROOT / ".github/dependabot.yml", ROOT / "examples/github/.github/dependabot.yml"]),
    ],
)
def test_files_follow_their_schema(kind: str, paths: list[Path]) -> None:
    # SchemaStore's schemas, as check-jsonschema brings them.
    package = pytest.importorskip("check_jsonschema", reason="pip install -e '.[dev]'")
    schemas = Path(package.__file__).parent / "builtin_schemas" / "vendor"
    validator = jsonschema.Draft7Validator(json.loads((schemas / f"{kind}.json").read_text()))
    for path in paths:
        text = json.dumps(yaml.safe_load(path.read_text()))
        # YAML 1.1 reads the key on as true.
        errors = validator.iter_errors(json.loads(text.replace('"true":', '"on":', 1)))
        assert [f"{name(path)}: {error.json_path}: {error.message[:300]}" for error in errors] == []


@pytest.mark.parametrize("path", ALL, ids=name)
def test_foreign_actions_are_pinned_to_known_commits(path: Path) -> None:
    for line in re.findall(r"(?m)^ *(?:- )?uses: (\S+@\S+.*)", path.read_text()):
        match = re.fullmatch(r"([^@]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
        assert match, line
        if path in CALLERS and line.startswith("starfreight/"):
            continue  # A commit that the caller writes.
        assert KNOWN[match[1]] == (match[2], match[3])


@pytest.mark.parametrize("path", ALL, ids=name)
def test_no_script_holds_an_expression_that_a_caller_could_fill_with_commands(path: Path) -> None:
    assert not [step["run"] for step in steps(path) if "${{" in step.get("run", "")]


@pytest.mark.parametrize("path", ALL, ids=name)
def test_no_checkout_leaves_its_token_on_the_disk(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_pipes_stop_at_the_first_failing_command() -> None:
    # GitHub's default shell has no pipefail: a failed command before | is no failure.
    for path in [*WORKFLOWS, *CALLERS]:
        data = yaml.safe_load(path.read_text())
        default = data.get("defaults", {}).get("run", {}).get("shell", "")
        for step in steps(path):
            without_quotes = re.sub(r"(?m)^ *#.*|'[^']*'|\|\|", "", step.get("run", ""))
            assert "|" not in without_quotes or "bash" in (step.get("shell", default)), (
                path.name,
                step["name"],
            )


def test_jobs_take_the_artifact_of_the_job_before_whatever_has_its_name_now() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/train.yml").read_text())["jobs"]
    (fetch,) = [step["with"] for step in jobs["publish"]["steps"] if "download-artifact" in step["uses"]]
    assert fetch["artifact-ids"] == "${{ join(needs.*.outputs.packages, '') }}" and "name" not in fetch
    for kind in ("train", "cluster"):
        for part in (2, 3, 4):
            before = kind if part == 2 else f"{kind}-{part - 1}"
            assert jobs[f"{kind}-{part}"]["with"]["state"] == f"${{{{ needs.{before}.outputs.kept }}}}"
    for step in steps(ROOT / ".github/workflows/train-part.yml"):
        if "download-artifact" in step.get("uses", "") and "name" in step["with"]:
            assert step["if"] == "inputs.from_run != ''"


def test_nothing_downloaded_runs_before_the_files_of_a_release_are_kept() -> None:
    build = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["build"]["steps"]
    names = [step["name"] for step in build]
    for step in build[: names.index("Keep the files")]:
        assert "pip" not in step.get("run", "") or "--require-hashes" in step["run"]


def locked(*paths: str) -> dict[str, str]:
    text = "".join((ROOT / path).read_text() for path in paths)
    return dict(re.findall(r"(?m)^([a-z0-9.-]+)==(\S+)", text))


@pytest.mark.parametrize("extra", ["sigstore", "kubernetes"])
def test_the_locks_of_extras_follow_from_the_project_and_agree_with_those_of_the_images(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    trainer = locked("images/trainer/requirements.txt", "images/trainer/torch-cuda.txt")
    packager = locked("images/packager/requirements.txt")
    have = locked(f".github/actions/setup-starfreight/{extra}.txt")
    for need in map(Requirement, project["optional-dependencies"][extra]):
        assert need.specifier.contains(have[need.name]), "run make locks"
    for images in (trainer, packager):
        assert {name: images[name] for name in have.keys() & images.keys()} == {
            name: have[name] for name in have.keys() & images.keys()
        }
    assert locked(".github/actions/setup-starfreight/build.txt")["setuptools"] == trainer["setuptools"]


def test_every_library_that_a_job_installs_is_locked() -> None:
    script = (ROOT / ".github/actions/setup-starfreight/install.sh").read_text()
    installs = [line for line in script.splitlines() if line.strip().startswith('"${pip[@]}"')]
    assert len(installs) == 2
    for line in installs:
        assert "--no-deps" in line and (
            "--require-hashes" in line or "--no-build-isolation --no-index" in line
        )


def test_only_publishing_may_write_packages_or_has_the_identity_of_train() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/train.yml").read_text())["jobs"]
    may = {
        name: {key for key, value in job["permissions"].items() if value == "write"}
        for name, job in jobs.items()
        if not name.startswith("cluster")
    }
    assert may.pop("publish") == {"packages", "id-token", "attestations"}
    assert may.pop("image") == {"packages"}
    assert set().union(*may.values()) == set()
    # Parts for a cluster have an identity, of another workflow file.
    for name, job in jobs.items():
        if name.startswith("cluster"):
            assert job["uses"].endswith("train-part.yml") and job["permissions"]["contents"] == "read"


def test_the_documented_pipeline_of_gitlab_follows_its_schema() -> None:
    package = pytest.importorskip("check_jsonschema", reason="pip install -e '.[dev]'")
    schemas = Path(package.__file__).parent / "builtin_schemas" / "vendor"
    text = (ROOT / "docs/github-actions.md").read_text()
    (block,) = re.findall(r"(?s)## GitLab CI\n\n```yaml\n(.*?)```", text)
    jsonschema.Draft7Validator(json.loads((schemas / "gitlab-ci.json").read_text())).validate(
        yaml.safe_load(block)
    )


def test_ci_runs_what_the_ci_script_runs() -> None:
    data = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert [step["run"] for step in data["jobs"]["test"]["steps"] if "run" in step] == ["bash .ci/run"]
    assert all(job["permissions"] == {"contents": "read"} for job in data["jobs"].values())


def test_the_documented_permissions_are_those_that_the_jobs_need() -> None:
    text = (ROOT / ".github/workflows/train.yml").read_text()
    needed: dict[str, str] = {}
    for job in yaml.safe_load(text)["jobs"].values():
        for key, value in job["permissions"].items():
            needed[key] = max(needed.get(key, ""), value)
    for place in (text, (ROOT / "docs/github-actions.md").read_text()):
        (line,) = set(re.findall(r"permissions: \{(contents: read, actions: read.*?)\}", place))
        assert dict(each.split(": ") for each in line.split(", ")) == needed
