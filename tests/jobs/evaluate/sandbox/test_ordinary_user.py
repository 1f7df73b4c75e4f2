"""All attacks again, as an ordinary user: boxes then have that user's id."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
USER = 23_456
PYTHON = Path(f"/usr/bin/python{sysconfig.get_python_version()}")
ATTACKS = ("test_attacks.py", "test_same_user.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
@pytest.mark.skipif(not PYTHON.exists(), reason=f"{PYTHON} is missing")
@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_attacks_of_an_ordinary_user_are_contained(kind: str) -> None:
    done = subprocess.run(
        [
            str(PYTHON), "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", ".", "--confcutdir", ".",
            "-p", "no:cacheprovider", "--import-mode", "importlib", *ATTACKS,
        ],
        cwd=HERE, user=USER, group=USER, extra_groups=[], capture_output=True, text=True, timeout=300,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
            "STARFREIGHT_SANDBOXES": kind,
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "passed" in done.stdout
