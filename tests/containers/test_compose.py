"""``examples/compose``: the whole line, started by one command."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ollama_client import OllamaClient, OllamaError

from starfreight import __version__
from starfreight.image import BuiltImage
from starfreight.run import Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "compose"
USER = 1234
Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def registry_image(engine: Any, base_image: str, require_service: Callable[[str], str]) -> Iterator[str]:
    """What the official image of a registry is, made of Debian's program."""
    config = (
        b"version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: ':5000'}\n"
    )
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(require_service("docker-registry"), "usr/bin/docker-registry")
        entry = tarfile.TarInfo("etc/registry.yml")
        entry.size = len(config)
        tar.addfile(entry, io.BytesIO(config))
    container = engine.containers.create(base_image, ["true"])
    container.put_archive("/", archive.getvalue())
    name = f"starfreight-test/registry:{uuid.uuid4().hex}"
    command = {"Cmd": ["/usr/bin/docker-registry", "serve", "/etc/registry.yml"]}
    container.commit(*name.split(":"), conf=command)
    container.remove()
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    """Where the registry is found from outside."""
    return free_port()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example as somebody copied it, with a recipe that takes seconds."""
    copied = tmp_path / "compose"
    shutil.copytree(EXAMPLE, copied, ignore=shutil.ignore_patterns("runs", "packages", "docker"))
    path = copied / "work" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["data"][0]["include"] = ["jobs/planning/*.py"]
    recipe["training"] |= {"steps": 2, "evaluation_blocks": 1, "evaluation_completions": 1, "batch_size": 1}
    path.write_text(yaml.safe_dump(recipe))
    if os.geteuid() == 0:
        for each in (copied, *copied.rglob("*")):
            os.chown(each, USER, USER)
    return copied


@pytest.fixture
def compose(
    folder: Path, port: int, trainer_image: BuiltImage, registry_image: str,
    require_service: Callable[[str], str],
) -> Iterator[Compose]:  # fmt: skip
    """Runs docker-compose in the example's folder, and removes all that it started."""
    program = require_service("docker-compose")
    owner = f"{USER}:{USER}" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
    environment = os.environ | {
        "COMPOSE_PROJECT_NAME": f"starfreight-{uuid.uuid4().hex[:12]}",
        "TRAINER_IMAGE": trainer_image.reference,
        "REGISTRY_IMAGE": registry_image,
        "REGISTRY_PORT": str(port),
        "STARFREIGHT_USER": owner,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )

    yield run
    run("down", "--timeout", "2")


def test_one_command_trains_packages_and_publishes(compose: Compose, folder: Path, port: int) -> None:
    done = compose("run", "--rm", "-T", "training")
    assert done.returncode == 0, done.stderr
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/team/compose/tags/list", timeout=10) as answer:
        assert "1.0" in json.load(answer)["tags"]
    (run,) = (folder / "work" / "runs").iterdir()
    outcome = Run.load(run).outcome
    assert outcome is not None
    owners = {path.stat().st_uid for path in folder.rglob("*")}
    assert owners == {USER if os.geteuid() == 0 else os.geteuid()}


def test_both_containers_are_hardened(compose: Compose, engine: Any) -> None:
    assert compose("up", "--no-start").returncode == 0
    found = compose("ps", "--quiet", "--all").stdout.split()
    assert len(found) == 2
    for each in found:
        settings = engine.containers.get(each).attrs
        host = settings["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert "/tmp" in host["Tmpfs"]
        assert not settings["Config"]["User"].startswith("0")
        published = [binding["HostIp"] for bindings in host["PortBindings"].values() for binding in bindings]
        assert set(published) <= {"127.0.0.1"}


def test_the_defaults_are_the_image_of_this_version_and_a_user_that_is_not_root() -> None:
    text = (EXAMPLE / "compose.yaml").read_text()
    assert f"${{TRAINER_IMAGE:-starfreight/trainer:{__version__}}}" in text
    assert "${STARFREIGHT_USER:-1000:1000}" in text


def test_gpus_are_asked_for_by_a_second_file(compose: Compose) -> None:
    done = compose("--file", "compose.yaml", "--file", "gpu.yaml", "config")
    assert done.returncode == 0, done.stderr
    (device,) = yaml.safe_load(done.stdout)["services"]["training"]["deploy"]["resources"]["reservations"][
        "devices"
    ]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_gateway_serves_the_registry_to_ollama(
    folder: Path,
    registry_image: str,
    gateway_image: BuiltImage,
    free_port: Callable[[], int],
    tmp_path: Path,
    require_service: Callable[[str], str],
) -> None:
    ports = (free_port(), free_port())
    settings = folder / "gateway" / "gateway.yaml"
    settings.write_text(settings.read_text().replace("host: 127.0.0.1:8443", f"host: 127.0.0.1:{ports[1]}"))
    owner = f"{USER}:{USER}" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
    environment = os.environ | {
        "COMPOSE_PROJECT_NAME": f"starfreight-{uuid.uuid4().hex[:12]}", "STARFREIGHT_USER": owner,
        "REGISTRY_IMAGE": registry_image, "REGISTRY_PORT": str(ports[0]),
        "GATEWAY_IMAGE": gateway_image.reference, "GATEWAY_PORT": str(ports[1]),
    }  # fmt: skip
    command = [require_service("docker-compose"), "-f", "compose.yaml", "-f", "compose.gateway.yaml"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )

    try:
        done = run("up", "-d", "gateway")
        assert done.returncode == 0, done.stderr
        client = OllamaClient(f"127.0.0.1:{ports[1]}", insecure=True)
        for _ in range(60):
            with pytest.raises(OllamaError) as error:
                client.pull("team/compose:1.0", tmp_path / "models")
            if "file does not exist" in str(error.value):  # The registry has answered: it is empty.
                break
            time.sleep(0.5)
        else:
            raise AssertionError(run("logs", "gateway").stdout + str(error.value))
    finally:
        run("down", "--timeout", "2")
