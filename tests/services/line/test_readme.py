"""Every command of the README is run here, but for `make test`, which runs this."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ollama_server import OllamaServer

ROOT = Path(__file__).parents[3]


def _commands() -> list[str]:
    return re.findall(r"^    (\S.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_readme_has_these_commands_and_no_others() -> None:
    assert _commands() == [
        "make quickstart",
        "make test",
        ". .venv/bin/activate",
        "starfreight init my-model",
        "starfreight plan my-model/recipe.yaml",
        "starfreight run my-model/recipe.yaml",
        "starfreight jobs evaluate packages/NAME",
        "starfreight package verify packages/NAME",
        'starfreight try packages/NAME --prompt "def area(radius):"',
        "starfreight publish packages/NAME HOST/NAMESPACE/NAME:TAG",
        "starfreight package install HOST/NAMESPACE/NAME:TAG",
    ]


@pytest.mark.parametrize(
    ("target", "command"),
    [("quickstart", ".venv/bin/starfreight quickstart\n"), ("test", ".venv/bin/pytest -n auto")],
)
def test_make_runs_the_command_that_the_readme_says(target: str, command: str) -> None:
    # Without what an outer make passes on, since `make test` runs this.
    own = ("MAKE", "PYTEST_OPTIONS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert command in done.stdout


def test_the_steps_of_using_it_run_one_after_another(
    starfreight: Callable[..., subprocess.CompletedProcess[str]],
    registry: Any,
    tmp_path: Path,
) -> None:
    init, plan, run, evaluate, verify, complete, publish, install = (
        shlex.split(line)[1:] for line in _commands()[3:]
    )
    starfreight(*init, cwd=tmp_path)
    starfreight(*plan, cwd=tmp_path)
    result = json.loads(starfreight(*run, "--json", cwd=tmp_path).stdout)
    (variant,) = result["variants"]
    name = variant["package"].removeprefix("packages/")
    few = ("--limit", "5", "--json")
    evaluated = starfreight(*(word.replace("NAME", name) for word in evaluate), *few, cwd=tmp_path)
    (evaluation,) = json.loads(evaluated.stdout)["evaluations"]
    measured = [each["suite"] for each in evaluation["results"] if each["figures"]]
    assert measured == ["fim", "perplexity", "speed"]
    starfreight(*(word.replace("NAME", name) for word in verify), cwd=tmp_path)
    completed = starfreight(*(word.replace("/NAME", f"/{name}") for word in complete), "--json", cwd=tmp_path)
    assert json.loads(completed.stdout)["tokens"] > 0
    assert publish[-1] == "HOST/NAMESPACE/NAME:TAG"
    reference = f"{registry.host}/readme/my-model:1.0"
    done = starfreight(
        publish[0], publish[1].replace("NAME", name), reference, "--insecure", "--json", cwd=tmp_path
    )
    assert {"1.0", "1.0-oci", "1.0-q4_K_M", "1.0-q8_0"} <= set(json.loads(done.stdout)["tags"])
    with OllamaServer(tmp_path / "models") as ollama:
        starfreight(*install[:-1], reference, "--insecure", cwd=tmp_path, OLLAMA_HOST=ollama.host)
        assert list(ollama.names()) == [reference]


def test_every_page_that_the_readme_links_to_is_there() -> None:
    for page in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / page).exists(), page
