"""A model is evaluated in a container, whose only network is none and whose sandbox needs no namespaces."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.evaluation import Evaluation
from starfreight.image import LABEL_IMAGE, LABEL_KINDS, LABEL_PROTOCOL, PROTOCOL, BuiltImage
from starfreight.jobs.backends.docker.container import LABEL_FOLDER
from starfreight.jobs.backends.docker.image import ENTRYPOINT
from starfreight.packager.press import ModelIdentity, PressRequest, press


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    """The starter as a GGUF file."""
    request = PressRequest(STARTER_FOLDER, None, ("Q8_0",), tmp_path / "made", "t", ModelIdentity("Starter"))
    return press(request, Console(quiet=True))[0].path


def evaluate(folder: Path, model: Path, image: str) -> subprocess.CompletedProcess[str]:
    words = ["jobs", "evaluate", str(model), "--suite", "humaneval", "--limit", "3", "--json"]
    return subprocess.run(
        [sys.executable, "-P", "-m", "starfreight", *words, "--on", "docker", "--image", image],
        cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, "HF_TOKEN": "hf_secret"},
    )  # fmt: skip


def test_generated_code_runs_in_a_container(
    engine: docker.DockerClient, trainer_image: BuiltImage, own_state: Path, starter: Path, tmp_path: Path
) -> None:
    done = evaluate(tmp_path, starter, trainer_image.id)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = (tmp_path / "runs").glob("*/evaluation.json")
    evaluation = Evaluation.load(record.parent)
    assert evaluation.sandbox is not None
    assert evaluation.sandbox.startswith("landlock ABI ")
    result = evaluation.result("humaneval")
    assert result is not None
    (figure,) = (each for each in result.figures if each.name == "pass@1")
    assert figure.items == 3
    # The path on this machine is in no record, and the same command has nothing to do.
    assert str(tmp_path) not in record.read_text()
    changed = record.stat().st_mtime_ns
    assert evaluate(tmp_path, starter, trainer_image.id).returncode == 0
    assert record.stat().st_mtime_ns == changed
    left = engine.containers.list(all=True, filters={"label": LABEL_FOLDER}, ignore_removed=True)
    assert not [each for each in left if each.labels[LABEL_FOLDER].startswith(str(tmp_path.resolve()))]


def test_an_older_image_is_refused_before_anything_runs(
    make_image: Callable[..., BuiltImage], own_state: Path, starter: Path, tmp_path: Path
) -> None:
    labels: dict[str, Any] = {LABEL_IMAGE: "trainer", LABEL_KINDS: "train", LABEL_PROTOCOL: str(PROTOCOL)}
    old = make_image({}, entrypoint=ENTRYPOINT, **labels)
    done = evaluate(tmp_path, starter, old.id)
    assert done.returncode == 2
    assert "can only train" in done.stderr
    assert "starfreight images build trainer" in done.stderr
