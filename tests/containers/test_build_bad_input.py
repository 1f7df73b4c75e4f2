"""Builds that cannot be: each says what is wrong, and leaves nothing half-done behind."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from servers import Server

ROOT = Path(__file__).parents[2]
TAG = ["--tag", "starfreight-test/packager:bad"]

Build = Callable[..., subprocess.CompletedProcess[str]]


def refusal(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """Exit code, what happened, and what to do."""
    assert "Traceback" not in done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == done.returncode
    return done.returncode, error["what"], f"{error['where']} {error['next']}"


def test_no_engine(build: Build, tmp_path: Path) -> None:
    code, what, more = refusal(build("packager", DOCKER_HOST=f"unix://{tmp_path}/none.sock"))
    assert code == 4 and "No Docker Engine is running" in what and "none.sock" in more


def test_an_unknown_base_image(build: Build, registry: Server) -> None:
    code, what, more = refusal(build("packager", "--base-image", f"{registry.host}/no/such:1", offline=False))
    assert code == 2 and "base image does not exist" in what and "--base-image" in more


def test_a_registry_that_does_not_answer(build: Build, free_port: Callable[[], int]) -> None:
    base = f"127.0.0.1:{free_port()}/some/base:1"
    code, what, more = refusal(build("packager", "--base-image", base, offline=False))
    assert code == 4 and "cannot reach the network" in what and "--wheelhouse" in more


def test_a_platform_that_the_base_image_is_not_of(build: Build) -> None:
    code, what, _ = refusal(build("packager", "--platform", "linux/s390x", *TAG))
    assert code == 2 and "is for linux/amd64" in what


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--platform", "linux/amd64,linux/arm64"], "not a single platform"),
        (["--base-image", "Not A Name"], "not a valid image name"),
        (["--tag", "UPPER:1"], "not a valid image name"),
        (["--tag", "-rm"], "not a valid image name"),
        (["--torch", "cpu"], "does not contain torch"),
        (["--push", "no-host"], "host"),
        (["--ca", "README.md"], "contains no certificate"),
    ],
)
def test_options_that_make_no_sense(
    engine: docker.DockerClient, build: Build, options: list[str], part: str
) -> None:
    code, what, _ = refusal(build("packager", *options, offline=False))
    assert code == 2 and part in what


def test_a_wheelhouse_that_lacks_something_is_refused_before_anything_is_built(
    build: Build, base_image: str, wheelhouse: Path, tmp_path: Path
) -> None:
    for wheel in wheelhouse.glob("*.whl"):
        if not wheel.name.startswith("click-"):
            (tmp_path / wheel.name).symlink_to(wheel)
    options = ["--base-image", base_image, "--wheelhouse", str(tmp_path)]
    code, what, more = refusal(build("packager", *options, offline=False))
    assert code == 2 and "lacks click==" in what and "pip download" in more


def test_a_wheel_that_is_not_the_one_that_was_locked(
    build: Build, base_image: str, wheelhouse: Path, tmp_path: Path
) -> None:
    for wheel in wheelhouse.glob("*.whl"):
        (tmp_path / wheel.name).symlink_to(wheel)
    (forged,) = tmp_path.glob("idna-*.whl")
    data = forged.read_bytes()
    forged.unlink()
    forged.write_bytes(data + b"\0")
    options = ["--base-image", base_image, "--wheelhouse", str(tmp_path), *TAG]
    code, what, _ = refusal(build("packager", *options, offline=False))
    assert code == 3 and "does not match the lock file" in what


def test_an_interruption_stops_the_build_and_nothing_is_remembered(
    engine: docker.DockerClient, base_image: str, wheelhouse: Path, tmp_path: Path
) -> None:
    log = tmp_path / "starfreight/images/packager/build.log"
    tag = f"starfreight-test/packager:{secrets.token_hex(4)}"
    command = [
        sys.executable, "-m", "starfreight", "images", "build", "packager", "--no-cache",
        "--base-image", base_image, "--wheelhouse", str(wheelhouse),
        "--tag", tag,
    ]  # fmt: skip
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        # At the first step: on a fast machine all of them take seconds.
        for _ in range(6000):
            if log.exists() and "RUN" in log.read_text():
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Interrupted" in said and "Traceback" not in said
    assert not (tmp_path / "state").exists()
    assert not engine.images.list(tag)
    assert "exporting to image" not in log.read_text()


@pytest.fixture
def small_engine(
    engine: docker.DockerClient,
    base_image: str,
    start_engine: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> Iterator[str]:
    """The address of a second engine, whose disk has room for the base image and little else."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk and start a second engine")
    disk, archive = tmp_path / "disk", tmp_path / "base.tar"
    disk.mkdir()
    with archive.open("wb") as stream:
        stream.writelines(engine.images.get(base_image).save(named=base_image))
    # The engine copies the archive before it unpacks it.
    size = 2 * archive.stat().st_size + (50 << 20)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
    address = f"unix://{tmp_path}/small.sock"
    process = start_engine(
        address, tmp_path / "log", f"--data-root={disk}", f"--exec-root={tmp_path}/exec",
        f"--pidfile={tmp_path}/pid", "--iptables=false", alone=True,
    )  # fmt: skip
    with archive.open("rb") as stream:
        docker.DockerClient(address, timeout=120).images.load(stream)
    archive.unlink()
    yield address
    process.terminate()
    process.wait(60)
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
    shutil.rmtree(tmp_path / "exec", ignore_errors=True)


def test_a_full_disk(build: Build, small_engine: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = build("packager", *TAG, DOCKER_HOST=small_engine, XDG_STATE_HOME=str(state))
    code, what, more = refusal(done)
    assert code == 4 and "No space is left" in what and "docker builder prune" in more
    assert not state.exists()
    assert not docker.DockerClient(small_engine).images.list("starfreight-test/packager")
