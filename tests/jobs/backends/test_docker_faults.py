"""Faults that a real engine cannot be made to have on request."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest
import requests

from starfreight.console import Console
from starfreight.docker_engine import NoEngine
from starfreight.errors import InputError, ServiceError
from starfreight.jobs.backends.docker.backend import DockerBackend
from starfreight.jobs.backends.docker.container import LABEL_FOLDER, LABEL_RUN
from starfreight.jobs.backends.docker.find_container import find_container
from starfreight.jobs.backends.docker.finished_container import collect
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.protocol.log import LOG_FILE, open_log, read_log
from starfreight.jobs.protocol.record import JobRecord, now

IDENTITY = "c" * 64
ENDED = {"Id": IDENTITY, "State": {"Status": "exited", "ExitCode": 0}, "HostConfig": {}}


class Engine:
    """An engine with one container, which has ended."""

    def __init__(self, output: bytes = b"a line\n", labels: dict[str, str] | None = None) -> None:
        self.api = self
        self.output = output
        self.labels = labels
        self.removed: list[str] = []
        self.refuses_to_remove = False

    def logs(self, container: str, **options: Any) -> Iterator[bytes]:
        yield self.output

    def inspect_container(self, container: str) -> dict[str, Any]:
        return {**ENDED, "Name": "/it", "Config": {"Labels": self.labels}}

    def remove_container(self, container: str, **options: Any) -> None:
        if self.refuses_to_remove:
            raise requests.ConnectionError("gone")
        self.removed.append(container)


@pytest.fixture
def record() -> JobRecord:
    return JobRecord(runner="docker", handle="it", identity=IDENTITY, started=now())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory of a run. Its record is not read."""
    job = SimpleNamespace(id="acme", options=SimpleNamespace(keep_container=False))
    for module in ("backend", "find_container"):
        monkeypatch.setattr(f"starfreight.jobs.backends.docker.{module}.load_job", lambda directory: job)
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("odd", ["link", "pipe", "folder"])
def test_a_log_that_a_job_has_replaced_is_refused_and_what_it_leads_to_stays(
    folder: Path, odd: str, write: bool
) -> None:
    mine = folder.parent / "mine"
    mine.write_text("mine")
    path = folder / LOG_FILE
    if odd == "link":
        path.symlink_to(mine)
    elif odd == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(InputError, match="not a regular file"):
        if write:
            with open_log(folder, write=True) as log:
                log.write(b"theirs")
        else:
            list(read_log(folder))
    assert mine.read_text() == "mine"


def test_a_full_disk_is_told_from_a_silent_engine(folder: Path, record: JobRecord) -> None:
    engine: Any = Engine(bytes(100_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(ServiceError, match="No space left to write") as error:
            collect(engine, folder, record, ENDED, keep=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not isinstance(error.value, NoEngine)
    assert engine.removed == []


def test_a_container_that_could_not_be_removed_is_removed_by_the_next_command(
    folder: Path, record: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = Engine()
    engine.refuses_to_remove = True
    with pytest.raises(NoEngine):
        collect(engine, folder, record, ENDED, keep=False)
    backend = DockerBackend(Location())
    monkeypatch.setattr(backend, "_engine", engine)
    assert backend.job_state(folder).exit_code == 0
    engine.refuses_to_remove = False
    assert backend.job_state(folder).what == "the job finished"
    assert engine.removed == [IDENTITY]
    backend.job_state(folder)
    assert engine.removed == [IDENTITY]
    assert (folder / LOG_FILE).read_text() == "a line\n"


def test_a_fault_that_stays_ends_the_command_that_waits_for_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> Any:
        raise ServiceError("There is no room left to write.")

    backend = DockerBackend(Location())
    monkeypatch.setattr(backend, "_refresh", full)
    with pytest.raises(ServiceError, match="no room left"):
        backend._wait_for_end(folder, Console(quiet=True), SimpleNamespace(requested=True))  # type: ignore[arg-type]


def made_for(place: str) -> Callable[[Path], dict[str, str]]:
    return lambda folder: {LABEL_RUN: "acme", LABEL_FOLDER: str(folder.parent / place)}


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (lambda folder: {}, False),
        (lambda folder: {LABEL_RUN: "acme"}, False),
        (made_for("run"), True),
        (made_for("where it was before"), True),
        (made_for("original"), False),
        (lambda folder: {LABEL_RUN: "other", LABEL_FOLDER: "/gone"}, False),
    ],
    ids=["not ours", "no folder", "its own", "moved since", "the original of this copy", "another run's"],
)
def test_a_record_alone_does_not_give_a_right_to_a_container(
    folder: Path, record: JobRecord, labels: Callable[[Path], dict[str, str]], found: bool
) -> None:
    original = folder.parent / "original"
    original.mkdir()
    record.save(original)
    engine: Any = Engine(labels=labels(folder))
    assert (find_container(engine, record, folder) is not None) == found


def test_output_collected_by_another_command_meanwhile_is_read_from_the_log(
    folder: Path, record: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / LOG_FILE).write_text("first\nsecond\nthird\n")
    ended = record.ended(0, "ended")
    looks = iter([(SimpleNamespace(id=IDENTITY), record), (None, ended)])

    def output(found: Any, *, wait: bool) -> Iterator[str]:
        yield "first"
        raise docker.errors.NotFound("gone")

    backend = DockerBackend(Location())
    monkeypatch.setattr(backend, "_refresh", lambda folder: next(looks))
    monkeypatch.setattr(backend, "_output", output)
    assert list(backend.job_lines(folder, follow=True)) == ["first", "second", "third"]
