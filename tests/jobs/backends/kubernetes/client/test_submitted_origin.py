"""A job submitted by a CI job tells its pods so, without the secrets of the CI job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes_controllers import BATCH

from starfreight.cli import main
from starfreight.origin import Origin

IMAGE = f"registry.example/starfreight/trainer@sha256:{'0' * 64}"
CANARY = "canary-0a1b2c"


def test_the_pods_know_the_ci_job(
    write_job: Callable[..., Path], controllers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_job(name="acme", run=json.dumps({"where": "kubernetes", "gpus": 0, "image": IMAGE}))
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PROJECT_URL", f"https://jane:{CANARY}@gitlab.example.org/acme/coder")
    monkeypatch.setenv("CI_JOB_TOKEN", CANARY)
    assert main(["jobs", "run", str(recipe), "--detach"]) == 0
    (job,) = controllers.of(BATCH)
    assert CANARY not in json.dumps(job)
    (step,) = job["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in step["env"]}
    origin = Origin.model_validate_json(variables["STARFREIGHT_ORIGIN"])
    assert origin.invoker is not None
    assert origin.invoker.repository == "https://gitlab.example.org/acme/coder"
