"""Commands of a user, on recipes that train in a container within seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from starfreight.image import BuiltImage
from starfreight.jobs.backends.docker.container import LABEL_FOLDER

Make = Callable[..., Path]


class Person:
    """A user at a terminal, in the directory of a recipe."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder = folder
        self.image = image
        self.environment: dict[str, str] = {"HF_TOKEN": "hf_secret", "REGISTRY_PASSWORD": "secret"}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts a command."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "starfreight", *words],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def types(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs a command, and checks its exit code."""
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{words}: {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def train(self, *words: str) -> tuple[str, ...]:
        """Arguments to train the recipe in a container."""
        return ("jobs", "run", "recipe.yaml", "--on", "docker", "--image", self.image, *words)

    @property
    def run(self) -> Path:
        """The only run."""
        (record,) = (self.folder / "runs").glob("*/run.json")
        return record.parent

    def status(self) -> dict[str, Any]:
        """Output of ``jobs status --json``."""
        seen: dict[str, Any] = json.loads(self.types("jobs", "status", self.run.name, "--json").stdout)
        return seen


@pytest.fixture
def person(
    make_job: Make, trainer_image: BuiltImage, engine: docker.DockerClient, own_state: Path, tmp_path: Path
) -> Iterator[Person]:
    """A user with a recipe of 60 steps. A container left behind fails the test."""
    make_job(tmp_path, training={"steps": 60, "checkpoint_every": 20, "evaluate_every": 1000})
    person = Person(tmp_path, trainer_image.id)
    yield person
    for process in person.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    left = containers_of(engine, tmp_path)
    for container in left:
        container.remove(force=True)
    assert not left


def containers_of(engine: docker.DockerClient, folder: Path) -> list[Any]:
    """All containers of runs in a directory, running or not."""
    everything = engine.containers.list(all=True, filters={"label": LABEL_FOLDER}, ignore_removed=True)
    return [each for each in everything if Path(each.labels[LABEL_FOLDER]).is_relative_to(folder.resolve())]


@pytest.fixture
def the_container(engine: docker.DockerClient) -> Callable[[Person], Any]:
    """Waits for the container of a person's run."""

    def find(person: Person) -> Any:
        def running() -> Any:
            return [each for each in containers_of(engine, person.folder) if each.status == "running"]

        return wait_until(running, "a container")[0]

    return find


def wait_until(true: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """Waits for a true value of ``true()`` and returns it."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    """:func:`wait_until`, for the tests."""
    return wait_until


@pytest.fixture
def has_trained(
    training_rows: Callable[[Path], list[dict[str, Any]]],
) -> Callable[[Person, int], None]:
    """Waits until a run has reached a step."""

    def steps(person: Person, count: int) -> None:
        wait_until(lambda: list((person.folder / "runs").glob("*/metrics.jsonl")), "training")
        wait_until(lambda: len(training_rows(person.run)) >= count, f"step {count}")

    return steps


FAKE_JOB = b"""#!/usr/bin/python3
import json, signal, sys, time

def stop(number, frame):
    error = {"event": "error", "kind": "JobStopped", "what": "It stopped.", "where": "/job/x", "next": None}
    print(json.dumps(error), flush=True)
    sys.exit(75)

signal.signal(signal.SIGTERM, stop)
print(json.dumps({"event": "plan", "steps": 600, "done": 0}), flush=True)
for step in range(1, 601):
    print(json.dumps({"event": "step", "step": step, "loss": 1.0, "tokens_per_second": 1.0}), flush=True)
    time.sleep(0.2)
"""
"""Imitates the output of a job; needs an image of a few megabytes only."""


@pytest.fixture(scope="session")
def labels() -> dict[str, str]:
    """Labels of a trainer image."""
    return {"dev.starfreight.image": "trainer", "dev.starfreight.protocol": "2"}


@pytest.fixture(scope="session")
def fake_job() -> bytes:
    """:data:`FAKE_JOB`, for the tests."""
    return FAKE_JOB


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[str]], None]:
    """Presses Ctrl-C."""
    return lambda process: process.send_signal(signal.SIGINT)
