"""The quickstart, run once for every test that looks at what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STARFREIGHT = Path(sys.executable).with_name("starfreight")


@dataclass(frozen=True)
class Quickstart:
    """Where it ran, and the object that it printed."""

    folder: Path
    said: dict[str, Any]


@pytest.fixture(scope="session")
def starfreight() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command line as a user would, in a folder, without a network."""

    def run(
        *arguments: str | Path, cwd: Path, code: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [STARFREIGHT, *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def quickstart(
    starfreight: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Quickstart:
    """``starfreight quickstart --json --out q``."""
    folder = tmp_path_factory.mktemp("quickstart")
    done = starfreight("quickstart", "--json", "--out", "q", cwd=folder)
    return Quickstart(folder, json.loads(done.stdout))
