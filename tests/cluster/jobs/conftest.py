"""Jobs on a real node: the trainer image, a volume for the runs, and the command line of a submitter.

They need ``KUBECONFIG`` and ``STARFREIGHT_CLUSTER_TRAINER``: the trainer image with its digest, as available
to the nodes (``starfreight/trainer@sha256:...``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 240


@pytest.fixture(scope="session")
def trainer_image() -> str:
    """The trainer image with its digest."""
    image = os.environ.get("STARFREIGHT_CLUSTER_TRAINER")
    if not image:
        pytest.skip("STARFREIGHT_CLUSTER_TRAINER names no trainer image that the cluster's nodes can run")
    return image


@pytest.fixture(scope="session")
def runs_volume(admin: Any, base_namespace: str) -> Iterator[None]:
    """A volume for the claim of the runs, in a directory of the only node, if the cluster provisions none."""
    claim = json.loads(admin.kubectl("get", "pvc", "starfreight-runs", "-n", base_namespace, "-o", "json"))
    if claim["spec"].get("storageClassName"):
        yield
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": base_namespace},
            "spec": {
                "capacity": {"storage": "200Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": folder},
                "claimRef": {"namespace": base_namespace, "name": "starfreight-runs"},
            },
        }
        admin.kubectl("create", "-f", "-", stdin=json.dumps(volume))
        yield
        admin.kubectl("delete", "pv", base_namespace, "--wait=false")


@dataclass(frozen=True)
class Starfreight:
    """Commands with a user's kubeconfig."""

    kubeconfig: Path
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command of ``starfreight jobs``."""
        command = [sys.executable, "-m", "starfreight", "jobs", *arguments]
        return subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[3],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Runs a command of ``starfreight jobs``, checks its exit code, and returns its output."""
        process = self.start(*arguments)
        try:
            out, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, errors = process.communicate()
            raise AssertionError(f"{arguments} does not end:\n{out}{errors}") from None
        assert process.returncode == code, f"{arguments} ended with {process.returncode}:\n{out}{errors}"
        return out + errors

    def json(self, *arguments: str) -> Any:
        """Output of a command with ``--json``."""
        process = self.start(*arguments, "--json")
        out, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out + errors
        return json.loads(out)

    def wait_for(self, name: str, fits: Callable[[Any], bool]) -> Any:
        """Waits for a status of a job, and returns it."""
        end = time.monotonic() + PATIENCE
        while not fits(status := self.json("status", name, "--on", "kubernetes")):
            assert time.monotonic() < end, status
            time.sleep(0.5)
        return status

    def wait_for_step(self, name: str, step: int) -> None:
        """Waits until a job has reached a step."""
        end = time.monotonic() + PATIENCE
        while f"step {step}:" not in (said := self("logs", name, "--on", "kubernetes")):
            assert time.monotonic() < end, said
            time.sleep(0.3)


@pytest.fixture(scope="session")
def starfreight(
    submitter_kubeconfig: Path, runs_volume: None, tmp_path_factory: pytest.TempPathFactory
) -> Starfreight:
    """Commands of a user with the right to submit jobs, and nothing else."""
    return Starfreight(submitter_kubeconfig, tmp_path_factory.mktemp("recipes"))


@pytest.fixture
def recipe(tmp_path: Path, trainer_image: str) -> Callable[..., Path]:
    """Writes a recipe that trains the starter in seconds on one CPU."""

    def write(name: str, training: dict[str, Any] | None = None, **run: Any) -> Path:
        options = {"where": "kubernetes", "gpus": 0, "memory": "2GB", "image": trainer_image, **run}
        options["kubernetes"] = {"cpus": 1, "ephemeral_storage": "1GB", **run.get("kubernetes", {})}
        content = {
            "version": 1,
            "name": name,
            "base": {"model": "builtin:starter"},
            "data": [{
                "source": "python:click", "license": "BSD-3-Clause", "held_out": "10%", "include": ["t*.py"],
                "filters": {"vendored": False},
            }],
            "training": {
                "rank": 4, "alpha": 8, "sequence_length": 64, "batch_size": 2, "gradient_accumulation": 1,
                "learning_rate": 0.01, "steps": 20, "checkpoint_every": 5, "evaluation_blocks": 2,
                "evaluation_completions": 2, "evaluate_every": 10_000, **(training or {}),
            },
            "run": options,
        }  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def submit(starfreight: Starfreight) -> Iterator[Callable[[Path], str]]:
    """Submits a recipe without following it, and returns the job's name. Jobs are cancelled at the end."""
    names: list[str] = []

    def send(path: Path) -> str:
        name = str(starfreight.json("run", str(path), "--detach")["jobs"][0]["job"])
        names.append(name)
        return name

    yield send
    for name in names:
        starfreight.start("cancel", name, "--on", "kubernetes", "--timeout", "1s").communicate(timeout=60)
