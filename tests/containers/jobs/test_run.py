"""A recipe trained in a container: the adapter, the owner of the files, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from starfreight.image import BuiltImage
from starfreight.jobs.protocol.record import JobRecord
from starfreight.run import Run

ROOT = Path(__file__).parents[3]


def test_a_run_in_a_container_is_that_of_a_plain_process(
    person: Any,
    engine: docker.DockerClient,
    trainer_image: BuiltImage,
    adapter_digest: Callable[[Path], str],
    make_job: Callable[..., Path],
    tmp_path: Path,
) -> None:
    done = person.types(*person.train("--json"))
    assert json.loads(done.stdout)["runs"] == [{"run": f"runs/{person.run.name}", "status": "done"}]
    assert "held out, after training" in done.stderr
    run = Run.load(person.run)
    assert run.image == trainer_image.id
    assert run.recipe.run.where == "docker"
    # No path in the container is recorded.
    inputs = json.loads((person.run / "inputs.json").read_text())
    assert inputs["data"] == [str(tmp_path / "code")]
    for name in ("run.json", "report.html", "adapter/adapter_config.json", "data/manifest.json"):
        text = (person.run / name).read_text()
        assert "/data/0" not in text and '"/base' not in text and '"/job' not in text, name
    assert {path.stat().st_uid for path in person.run.rglob("*")} == {os.getuid()}
    record = JobRecord.find(person.run)
    assert record is not None and record.end is not None
    assert (record.runner, record.end.exit_code) == ("docker", 0)
    assert "step 60: loss" in person.types("jobs", "logs", person.run.name).stdout

    # The same recipe on the local backend, with the same versions of all libraries.
    elsewhere = tmp_path / "elsewhere"
    make_job(elsewhere, training={"steps": 60, "checkpoint_every": 20, "evaluate_every": 1000})
    base = Path(inputs["base"])
    engine.containers.run(
        trainer_image.id,
        ["starfreight", "jobs", "run", str(elsewhere / "recipe.yaml"), "--runs", str(elsewhere / "runs")],
        user=f"{os.getuid()}:{os.getgid()}",
        network_mode="none",
        remove=True,
        volumes={
            str(elsewhere): {"bind": str(elsewhere), "mode": "rw"},
            str(base): {"bind": str(base), "mode": "ro"},
        },
    )
    (plain,) = (path.parent for path in (elsewhere / "runs").glob("*/run.json"))
    assert Run.load(plain).versions == run.versions
    assert Run.load(plain).image is None
    assert adapter_digest(plain) == adapter_digest(person.run)


@pytest.fixture
def somebody_else(person: Any, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Another user who may talk to the engine, as arguments of :func:`subprocess.run`."""
    socket = Path("/var/run/docker.sock")
    if os.geteuid() != 0 or not socket.exists():
        pytest.skip("only root can become somebody else")
    python = sys.executable
    if not os.access(python, os.X_OK) or Path(python).resolve().is_relative_to("/root"):
        python = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin") or ""
    if not python:
        pytest.skip("there is no Python that another user may run")
    folder = Path(tempfile.mkdtemp(prefix="starfreight-"))
    home = folder / "home"
    recipe = json.loads((tmp_path / "recipe.yaml").read_text())
    shutil.copytree(recipe["base"]["model"], folder / "base")
    shutil.copytree(tmp_path / "code", folder / "code")
    recipe["base"]["model"] = "./base"
    recipe["training"]["steps"] = 4
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    home.mkdir()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 4321, 4321)
        path.chmod(0o700 if path.is_dir() else 0o600)
    packages = sysconfig.get_path("purelib")
    yield {
        "args": [python, "-P", "-m", "starfreight"],
        "cwd": folder,
        "user": 4321,
        "group": 4321,
        "extra_groups": [socket.stat().st_gid],
        "env": {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{packages}",
                "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": str(home)},
        "capture_output": True,
        "text": True,
    }  # fmt: skip
    shutil.rmtree(folder)


def test_all_files_of_a_run_belong_to_whoever_started_it(
    somebody_else: dict[str, Any], person: Any, engine: docker.DockerClient
) -> None:
    words = somebody_else.pop("args")
    done = subprocess.run([*words, *person.train()], **somebody_else)
    assert done.returncode == 0, done.stderr
    folder = somebody_else["cwd"]
    paths = list((folder / "runs").rglob("*"))
    assert any(path.name == "adapter_model.safetensors" for path in paths)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in paths} == {(4321, 4321)}


def test_a_user_whom_the_socket_does_not_let_in_is_told_so(
    somebody_else: dict[str, Any], person: Any
) -> None:
    words = somebody_else.pop("args")
    done = subprocess.run([*words, *person.train()], **{**somebody_else, "extra_groups": []})
    assert done.returncode == 4
    assert "has no access to the Docker Engine" in done.stderr
    assert "docker group" in done.stderr
    assert not (somebody_else["cwd"] / "runs").exists()
