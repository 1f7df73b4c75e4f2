"""A second kind of job in a container: its own image, program and inputs, behind the same commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy_job

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.image import PROTOCOL, BuiltImage
from starfreight.jobs.backends.docker.image import ENTRYPOINT
from starfreight.jobs.backends.interface import JobRequest, Location
from starfreight.jobs.backends.table import open_backend
from starfreight.recipe import load_recipe


@pytest.fixture
def toy_image(make_image: Callable[..., BuiltImage]) -> BuiltImage:
    """An image with the toy program and nothing of Starfreight."""
    program = Path(toy_job.__file__).read_bytes()
    labels = {"dev.starfreight.image": "toy", "dev.starfreight.protocol": str(PROTOCOL)}
    return make_image(
        {"usr/lib/python3/dist-packages/toy_job.py": program},
        {"usr/local/bin/python": "/usr/bin/python3"},
        ENTRYPOINT,
        **labels,
    )


def test_a_toy_kind_runs_in_a_container_of_its_own_image_and_is_seen_by_every_command(
    toy_kind: Any,
    toy_image: BuiltImage,
    toy_recipe: Path,
    own_state: Path,
    console: Console,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = toy_recipe.parent / "runs"
    file = load_recipe(toy_recipe).with_run_options(where="docker", image=toy_image.id)
    submitted = open_backend("docker", Location(runs)).submit(JobRequest(toy_kind, file), console)
    (name,) = submitted.results
    assert json.loads((Path(name) / "toy.json").read_text())["sum"] == 5050
    assert main(["jobs", "status", name, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["where"], status["status"], status["exit_code"]) == ("docker", "done", 0)
    assert main(["jobs", "logs", name]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "sum 5050"


def test_an_image_of_another_kind_is_refused(
    toy_kind: Any, toy_recipe: Path, small_image: BuiltImage, own_state: Path, console: Console
) -> None:
    runs = toy_recipe.parent / "runs"
    file = load_recipe(toy_recipe).with_run_options(where="docker", image=small_image.id)
    with pytest.raises(InputError, match="not a toy image"):
        open_backend("docker", Location(runs)).submit(JobRequest(toy_kind, file), console)
    assert not runs.exists()
