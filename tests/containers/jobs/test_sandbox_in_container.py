"""Attacks on the sandbox inside a container as evaluation jobs have it, where nobody can make namespaces."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import docker
import pytest

ROOT = Path(__file__).parents[3]
HERE = "tests/jobs/evaluate/sandbox"
CHOICE = """
from starfreight.jobs.evaluate.sandbox.choose import open_sandbox
from starfreight.jobs.evaluate.sandbox.interface import Limits
print(open_sandbox(Limits()).name)
"""


def run(engine: docker.DockerClient, image: str, user: str, *command: str) -> str:
    """Output of a Python command in a container that sees this checkout."""
    packages = sysconfig.get_path("purelib")
    options: dict[str, Any] = {
        "user": user,
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": 512,
        "mem_limit": "2g",
        "tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=256m"},
        "volumes": {str(path): {"bind": str(path), "mode": "ro"} for path in (ROOT, Path(packages))},
        "environment": {
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": f"{ROOT}:{packages}",
            "STARFREIGHT_SANDBOXES": "landlock",
        },
        "working_dir": str(ROOT / HERE),
        "remove": True,
        "stderr": True,
    }
    try:
        output: bytes = engine.containers.run(image, ["/usr/bin/python3", *command], **options)
    except docker.errors.ContainerError as error:
        pytest.fail(str(error.stderr, "utf-8", "replace")[-3000:])
    return output.decode()


@pytest.mark.parametrize("user", ["12345:12345", "0:0"])
def test_attacks_in_a_container_fail(engine: docker.DockerClient, base_image: str, user: str) -> None:
    assert run(engine, base_image, user, "-c", CHOICE).startswith("landlock ABI ")
    output = run(
        engine, base_image, user,
        "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", ".", "--confcutdir", ".",
        "-p", "no:cacheprovider", "--import-mode", "importlib", "test_attacks.py", "test_same_user.py",
    )  # fmt: skip
    assert " passed" in output
