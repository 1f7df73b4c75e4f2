"""The GitHub workflows run the same commands that a person types; here their scripts run for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = ROOT / ".github" / "workflows"


def _read(name: str) -> dict[Any, Any]:
    data: dict[Any, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return data


def _scripts(job: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


def test_ci_runs_what_the_ci_script_runs() -> None:
    assert _scripts(_read("ci.yml")["jobs"]["test"]) == {"Lint and test": "bash .ci/run"}


def test_ci_asks_for_no_more_than_reading() -> None:
    assert _read("ci.yml")["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("name", ["ci.yml", "train.yml"])
def test_no_script_holds_an_expression_that_a_caller_could_fill_with_commands(name: str) -> None:
    for job in _read(name)["jobs"].values():
        for script in _scripts(job).values():
            assert "${{" not in script


def test_the_training_workflow_trains_packages_and_publishes(registry: Any, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(
        (ROOT / "starfreight" / "commands" / "sample" / "pairs.jsonl").read_bytes()
    )
    recipe = {
        "version": 1,
        "name": "from-a-workflow",
        "base": {"model": "builtin:starter"},
        "data": [{"source": "./pairs.jsonl", "format": "instruct", "license": "Apache-2.0"}],
        "training": {"sequence_length": 128, "gradient_accumulation": 1, "steps": 2},
        "package": {"quantizations": ["Q8_0"]},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    job = _read("train.yml")["jobs"]["train"]
    scripts = _scripts(job)
    assert set(job["env"]) == {"RECIPE", "REFERENCE"}
    assert list(scripts) == ["Install", "Plan", "Train and package", "Verify and publish"]
    environment = os.environ | {
        "RECIPE": "recipe.yaml",
        "REFERENCE": f"{registry.host}/acme/from-a-workflow:1.0",
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for name in ("Plan", "Train and package", "Verify and publish"):
        # The one difference: this registry speaks plain http.
        script = scripts[name].replace("starfreight publish", "starfreight publish --insecure")
        # As GitHub runs it.
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}\n{done.stdout}\n{done.stderr}"
    for tag in ("1.0", "1.0-q8_0"):
        request = urllib.request.Request(
            f"{registry.url}/v2/acme/from-a-workflow/manifests/{tag}",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        )
        manifest = json.load(urllib.request.urlopen(request, timeout=30))
        kinds = [layer["mediaType"] for layer in manifest["layers"]]
        assert (
            "application/vnd.ollama.image.model" in kinds and "application/vnd.ollama.image.template" in kinds
        )
