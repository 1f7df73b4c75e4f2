"""The folder kubernetes/ as files, as parsed YAML and as kubectl renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

OVERLAYS = ("base", "air-gapped", "kueue", "gpu-operator", "policies", "events", "gateway")


@pytest.fixture(scope="session")
def folder() -> Path:
    """kubernetes/ of this checkout."""
    return Path(__file__).resolve().parents[2] / "kubernetes"


@pytest.fixture(scope="session")
def documents(folder: Path) -> Callable[[str], list[dict[str, Any]]]:
    """The manifests in a file of kubernetes/."""
    return lambda name: list(yaml.safe_load_all((folder / name).read_text()))


@pytest.fixture(scope="session")
def rendered(folder: Path, kubectl_program: str) -> Callable[[str], list[dict[str, Any]]]:
    """What ``kubectl kustomize`` makes of a folder of kubernetes/."""

    @cache
    def render(name: str) -> list[dict[str, Any]]:
        command = [kubectl_program, "kustomize", str(folder / name)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0 and not made.stderr, made.stderr
        return list(yaml.safe_load_all(made.stdout))

    return render


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    """The name of each folder that an admin can apply."""
    return str(request.param)
