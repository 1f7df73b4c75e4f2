"""Recipes as files, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD_RECIPE = """\
version: 1
name: acme-coder
base: {model: ./base, license: MIT}
data:
  - source: ./code
"""


@pytest.fixture
def good_recipe() -> str:
    """The shortest recipe that says everything it has to."""
    return GOOD_RECIPE


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes the good recipe with more text after it, or bytes of one's own, and returns its path."""

    def write(more: str = "", *, data: bytes | None = None) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_bytes((GOOD_RECIPE + more).encode() if data is None else data)
        return path

    return write


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``starfreight`` with arguments to its end, in an empty folder."""

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120}
        return subprocess.run(
            [sys.executable, "-P", "-m", "starfreight", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | environment,
            check=False,
            **options,
        )

    return run
