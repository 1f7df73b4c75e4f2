"""The fetch step of a pod: training then needs no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.jobs.data.sources.oci_cache import fetch_artifact
from starfreight.registry import parse_digest_reference

RECIPE = """\
version: 1
name: tiny
base: {{model: "builtin:starter"}}
data:
  - {{source: "{source}", license: MIT{more}}}
"""


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., tuple[int, list[Mapping[str, Any]]]]:
    """Runs the step on a recipe; returns its exit code and events. The cache is below ``tmp_path``."""

    def run(text: str, *arguments: str, **variables: str) -> tuple[int, list[Mapping[str, Any]]]:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(text)
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")} | variables
        done = subprocess.run(
            [
                sys.executable, "-P", "-m", "starfreight.jobs.data.fetch",
                str(recipe), "--folder", str(tmp_path),
                *arguments,
            ],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_a_repository_is_in_the_cache_afterwards(fetch: Callable[..., Any], tmp_path: Path) -> None:
    source = tmp_path / "repository"
    git = ["git", "-C", str(source), "-c", "user.name=A", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "init", "-q", str(source)], check=True)
    (source / "a.py").write_text("print(1)\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "One"], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    text = RECIPE.format(source=f"git:file://{source}", more=f", revision: '{commit}'")
    assert fetch(text)[0] == 0
    (kept,) = (tmp_path / "cache/starfreight/git").glob(f"*{commit}.git")
    assert kept.exists()


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ([], {}, "does not exist"),
        (["--variant", "7"], {}, "Variant 7 does not exist"),
        ([], {"JOB_COMPLETION_INDEX": "3"}, "Variant 3 does not exist"),
    ],
)
def test_what_cannot_be_fetched_is_an_event_and_the_documented_exit_code(
    arguments: list[str], variables: dict[str, str], said: str, fetch: Callable[..., Any]
) -> None:
    code, events = fetch(RECIPE.format(source="./nothing", more=""), *arguments, **variables)
    assert code == 2
    assert events[-1]["event"] == "error"
    assert said in events[-1]["what"]


def test_the_second_of_several_nodes_fetches_what_the_first_one_does(fetch: Callable[..., Any]) -> None:
    text = RECIPE.format(source="python:click", more="")
    assert fetch(text, JOB_COMPLETION_INDEX="1", PET_NODE_RANK="1")[0] == 0


def test_an_artifact_that_the_kubelet_has_mounted_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = "0c" * 32
    (tmp_path / "oci" / digest).mkdir(parents=True)
    monkeypatch.setenv("STARFREIGHT_OCI_VOLUMES", str(tmp_path / "oci"))
    reference = parse_digest_reference(f"registry.invalid/acme/code@sha256:{digest}")
    assert fetch_artifact(reference, Console(quiet=True)) == tmp_path / "oci" / digest
