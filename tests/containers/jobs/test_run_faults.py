"""Faults of images, GPUs, memory and the engine, each with an error message."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from starfreight.image import BuiltImage
from starfreight.jobs.protocol.log import LOG_FILE
from starfreight.jobs.protocol.record import JobRecord, now


def test_a_job_that_uses_up_its_memory_is_told_from_one_that_is_killed(
    person: Any, the_container: Callable[[Any], Any]
) -> None:
    err = person.types(*person.train("--memory", "150MB"), code=1).stderr
    assert "was killed by the kernel (exit code 137): it had used up its 150.0 MB of memory" in err
    assert "raise --memory, or lower training.batch_size" in err
    assert person.status()["status"] in ("interrupted", "prepared")

    process = person.start(*person.train("--memory", "4GB"))
    the_container(person).kill("SIGKILL")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "was killed (exit code 137, signal 9)" in err


def test_gpus_are_refused_where_there_are_none_before_anything_is_prepared(person: Any) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a GPU")
    for gpus in ("all", "1", "0,1"):
        err = person.types(*person.train("--gpus", gpus), code=2).stderr
        assert "NVIDIA's driver" in err
        assert "container toolkit" in err
        assert "--gpus 0" in err
    assert not (person.folder / "runs").exists()


def test_an_image_that_jobs_cannot_run_in_is_refused_before_anything_is_prepared(
    person: Any,
    make_image: Callable[..., BuiltImage],
    base_image: str,
    labels: dict[str, str],
) -> None:
    said = {
        base_image: "not a trainer image",
        "starfreight-test/nobody:has-it": "has no image",
        "not a reference": "has no image",
        make_image({}, **{**labels, "dev.starfreight.protocol": "99"}).id: "protocol 99",
        make_image({}, **labels).id: "lacks the entry point",
    }
    for image, words in said.items():
        person.image = image
        err = person.types(*person.train(), code=2).stderr
        assert words in err
        assert "starfreight images build trainer" in err
    err = person.types("jobs", "run", "recipe.yaml", "--on", "docker", code=2).stderr
    assert "No trainer image has been built" in err
    assert not (person.folder / "runs").exists()


def test_an_image_without_python_is_told_so(
    person: Any, fake_image: Callable[[docker.DockerClient], str], engine: docker.DockerClient
) -> None:
    person.image = fake_image(engine, program="usr/local/bin/other")
    assert "lacks the program" in person.types(*person.train(), code=2).stderr


def test_an_engine_that_is_not_there_is_told_so(person: Any) -> None:
    person.environment["DOCKER_HOST"] = f"unix://{person.folder}/none.sock"
    err = person.types(*person.train(), code=4).stderr
    assert "No Docker Engine is running" in err
    assert not (person.folder / "runs").exists()


def test_a_network_that_is_not_there_is_told_so(person: Any) -> None:
    err = person.types(*person.train("--network", "nowhere"), code=2).stderr
    assert "nowhere" in err


def test_a_missing_input_is_named_by_its_path_on_this_machine(person: Any) -> None:
    person.types(*person.train("--detach"))
    person.types("jobs", "cancel", person.run.name)
    (person.folder / "code" / "basket_1.py").write_text("changed = 1\n")
    err = person.types("jobs", "resume", person.run.name, code=2).stderr
    assert "./code" in err
    assert "/data/0" not in err
    (person.folder / "code").rename(person.folder / "elsewhere")
    err = person.types("jobs", "resume", person.run.name, code=2).stderr
    assert "An input of the job no longer exists" in err


@pytest.mark.parametrize("identity", ["made", "not yet"])
def test_a_command_that_dies_while_it_starts_a_job_leaves_nothing(
    person: Any, engine: docker.DockerClient, identity: str
) -> None:
    person.types(*person.train("--detach"))
    person.types("jobs", "cancel", person.run.name)
    name = f"starfreight-{person.run.name}"
    folder = {"dev.starfreight.folder": str(person.run.resolve())}
    container = engine.containers.create(person.image, ["python", "-c", ""], name=name, labels=folder)
    record = JobRecord(runner="docker", handle=name, started=now())
    record.model_copy(update={"identity": container.id if identity == "made" else None}).save(person.run)
    assert person.status()["state"] == "the job was never started"
    assert not engine.containers.list(all=True, filters={"name": name})


def test_a_container_of_the_same_name_from_another_folder_is_left_alone(
    person: Any, engine: docker.DockerClient
) -> None:
    person.types(*person.train("--detach"))
    person.types("jobs", "cancel", person.run.name)
    name = f"starfreight-{person.run.name}"
    other = engine.containers.create(person.image, ["python", "-c", ""], name=name)
    try:
        person.types("jobs", "resume", person.run.name, "--detach")
        record = JobRecord.find(person.run)
        assert record is not None
        assert record.handle == f"{name}-2"
        person.types("jobs", "cancel", person.run.name)
        other.reload()
        assert other.status == "created"
    finally:
        other.remove()


def test_a_container_that_was_removed_from_outside_is_told_so(
    person: Any, the_container: Callable[[Any], Any]
) -> None:
    process = person.start(*person.train())
    the_container(person).remove(force=True)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "its container was removed from outside" in err


def test_a_second_ctrl_c_kills_a_job_that_answers_no_signal(
    person: Any,
    fake_image: Callable[..., str],
    engine: docker.DockerClient,
    the_container: Callable[[Any], Any],
    interrupt: Callable[[Any], None],
    wait: Callable[..., Any],
) -> None:
    person.image = fake_image(engine)
    process = person.start(*person.train())
    container = the_container(person)
    wait(lambda: b'"step": 2,' in container.logs(), "steps")
    # As in the middle of a long operation.
    container.exec_run(["sh", "-c", "kill -STOP -1"], user=container.attrs["Config"]["User"])
    interrupt(process)
    lines = iter(process.stderr.readline, "")
    assert any("finishes this step" in line for line in lines)
    interrupt(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "Stopping now" in err and "Stopped at once." in err and "Error" not in err
    assert person.status()["exit_code"] == 143


@pytest.fixture(scope="module")
def base_archive(
    engine: docker.DockerClient, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The base image in a file, for an empty engine."""
    path = tmp_path_factory.mktemp("base") / "base.tar"
    with path.open("wb") as stream:
        for piece in engine.images.get(base_image).save(named=base_image):
            stream.write(piece)
    return path


@pytest.fixture
def fake_image(base_image: str, fake_job: bytes, labels: dict[str, str]) -> Iterator[Callable[..., str]]:
    """Creates an image whose ``python`` only imitates the output of a job."""
    import io
    import json
    import tarfile

    made: list[Any] = []

    def make(engine: docker.DockerClient, program: str = "usr/local/bin/python") -> str:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(program)
            entry.size, entry.mode = len(fake_job), 0o755
            tar.addfile(entry, io.BytesIO(fake_job))
        container = engine.containers.create(base_image, ["python3"])
        container.put_archive("/", archive.getvalue())
        named = " ".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
        image = container.commit(changes=f'LABEL {named}\nENTRYPOINT ["/usr/bin/tini", "--"]')
        container.remove()
        made.append((engine, image.id))
        return str(image.id)

    yield make
    for engine, image in made:
        try:
            engine.images.remove(image, force=True)
        except (docker.errors.DockerException, requests.RequestException):  # That engine is gone.
            continue


class OwnEngine:
    """A second Docker Engine, which can be killed without affecting the first.

    Its containerd is a separate process, as on most machines, so that containers outlive it.
    """

    def __init__(self, start: Callable[..., Any], containerd: str, folder: Path, *options: str) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self._start = start
        self._log = folder / "log"
        self._options = (
            f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid",
            f"--containerd={folder}/c.sock", "--bridge=none", "--iptables=false", *options,
        )  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        with (folder / "containerd-log").open("wb") as log:
            self.containerd = subprocess.Popen(
                [containerd, "--config", os.devnull, "--root", f"{folder}/c-root",
                 "--state", f"{folder}/c-state", "--address", f"{folder}/c.sock"],
                stdout=log, stderr=log,
            )  # fmt: skip

    def begin(self) -> docker.DockerClient:
        """Starts or restarts it."""
        self.process = self._start(self.address, self._log, *self._options, alone=True)
        return docker.DockerClient(self.address)

    def kill(self) -> None:
        """Kills it, like a power failure."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def own_engine(
    start_engine: Callable[..., Any],
    require_service: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., OwnEngine]]:
    """Starts a second engine with the given options."""
    if os.geteuid() != 0 or platform.system() != "Linux":
        pytest.skip("only root can start a second engine")
    made = []

    def make(*options: str) -> OwnEngine:
        # The path of a socket may have 107 characters.
        folder = tmp_path_factory.mktemp("e")
        made.append(OwnEngine(start_engine, require_service("containerd"), folder, *options))
        return made[-1]

    yield make
    for each in made:
        for process in (each.process, each.containerd):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(60)
        # One that was killed has left a mount of its data there.
        subprocess.run(["umount", "--quiet", f"{each.folder}/data"], check=False)


@pytest.mark.parametrize("survives", [True, False], ids=["the job lives on", "the job ends with the engine"])
def test_a_job_whose_engine_is_killed_is_found_again_when_it_is_back(
    person: Any,
    own_engine: Callable[..., OwnEngine],
    fake_image: Callable[..., str],
    base_archive: Path,
    wait: Callable[..., Any],
    survives: bool,
) -> None:
    own = own_engine(*(["--live-restore"] if survives else []))
    engine = own.begin()
    with base_archive.open("rb") as stream:
        engine.images.load(stream)
    person.environment["DOCKER_HOST"] = own.address
    person.image = fake_image(engine)
    process = person.start(*person.train())
    wait(lambda: [each for each in engine.containers.list() if b'"step": 5,' in each.logs()], "steps")
    own.kill()
    wait(lambda: "no" if process.poll() is None else "", "the command to go on waiting")
    engine = own.begin()
    if survives:
        assert len(engine.containers.list()) == 1
        assert person.status()["status"] == "running"
        person.types("jobs", "cancel", person.run.name)
    _, err = process.communicate(timeout=90)
    assert "The Docker Engine does not answer. Waiting 60 s" in err
    assert process.returncode in ((75,) if survives else (1, 75)), err
    assert not engine.containers.list(all=True)
    assert '"step": 5,' in (person.run / LOG_FILE).read_text()
    record = JobRecord.find(person.run)
    assert record is not None and record.end is not None
