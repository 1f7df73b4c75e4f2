"""The command ``starfreight jobs render``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

RECIPES = Path(__file__).with_name("recipes")
RunCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def render_command(tmp_path: Path) -> RunCommand:
    """Runs the command in an empty directory without access to a cluster."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "starfreight", "jobs", "render", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"KUBECONFIG": str(tmp_path / "none")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_it_prints_yaml_that_can_be_applied_and_nothing_else(render_command: RunCommand) -> None:
    done = render_command(RECIPES / "cpu.yaml", "--on", "kubernetes")
    assert done.returncode == 0, done.stderr
    assert [document["kind"] for document in yaml.safe_load_all(done.stdout)] == ["ConfigMap", "Job"]
    assert done.stderr == ""


def test_what_is_left_out_for_an_old_server_is_said_beside_the_yaml(render_command: RunCommand) -> None:
    done = render_command(RECIPES / "cpu.yaml", "--for-version", "1.25")
    assert done.returncode == 0
    assert "spec.podFailurePolicy is left out, because it needs Kubernetes 1.26: " in done.stderr
    assert "podFailurePolicy" not in done.stdout


def test_options_take_the_place_of_the_recipes_keys(render_command: RunCommand) -> None:
    done = render_command(
        RECIPES / "cpu.yaml", "--json", "--gpus", "2", "--memory", "16GiB", "--namespace", "research",
        "--queue", "gpus", "--node-selector", "disk=ssd", "--node-selector", "nvidia.com/gpu.product=L4",
        "--until", "package", "--image", "r.example/a/b@sha256:" + "1b" * 32,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    job = shown["documents"][1]
    assert shown["name"] == job["metadata"]["name"]
    assert job["metadata"]["namespace"] == "research"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "ssd", "nvidia.com/gpu.product": "L4"}
    (train,) = pod["initContainers"]
    assert train["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert train["resources"]["limits"]["memory"] == "16Gi"
    assert train["image"].endswith("1b" * 32)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--namespace", "Not_DNS"], "option --namespace"),
        (["--node-selector", "disk"], "option --node-selector"),
        (["--node-selector", "disk=a b"], "option --node-selector"),
        (["--for-version", "newest"], "option --for-version"),
        (["--gpus", "all"], "option --gpus"),
        (["--image", "trainer:latest"], "option --image"),
        (["--memory", "lots"], "option --memory"),
        (["--nodes", "0"], "option --nodes"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    arguments: list[str], said: str, render_command: RunCommand
) -> None:
    done = render_command(RECIPES / "cpu.yaml", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_it_imports_neither_torch_nor_the_client_of_kubernetes() -> None:
    code = (
        "import sys\nfrom starfreight.cli import main\n"
        f"main(['jobs', 'render', {str(RECIPES / 'cpu.yaml')!r}, '-q'])\n"
        "heavy = {'torch', 'transformers', 'kubernetes', 'docker', 'numba'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
