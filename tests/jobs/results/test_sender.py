"""Sending a run: what does not depend on pods."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.results.sender import Sender
from starfreight.results.address import parse_place
from starfreight.results.table import open_store


@pytest.fixture
def run(toy_kind: Any, tmp_path: Path) -> Path:
    """A run of the toy kind."""
    folder = tmp_path / "runs" / "count-toy"
    folder.mkdir(parents=True)
    record = {"status": "running", "counted": 1, "sum": 1, "options": {}, "numbers": "n", "pause": 0}
    (folder / "toy.json").write_text(json.dumps(record))
    return folder


def test_a_password_that_expires_while_the_job_runs_is_read_again(
    run: Path, toy_kind: Any, start_registry: Callable[..., Any], require_service: Callable[[str], str],
    plain_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    passwords = tmp_path / "htpasswd"
    clock = time.time()

    def change(password: str) -> None:
        nonlocal clock
        command = [require_service("htpasswd"), "-Bbn", "pod", password]
        passwords.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
        clock += 10  # The registry reads the file again when its time has changed.
        os.utime(passwords, (clock, clock))
        monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", password)

    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", "pod")
    change("first")
    server = start_registry(auth=f"auth: {{htpasswd: {{realm: test, path: {passwords}}}}}\n")
    place = parse_place(f"oci://{server.host}/team/runs")
    sender = Sender(place, toy_kind, run, "job", interval=0.05)
    sender.start()
    (run / "toy.json").write_text((run / "toy.json").read_text() + " ")
    end = time.monotonic() + 30
    while "Sent the run" not in capsys.readouterr().out:
        assert time.monotonic() < end
        time.sleep(0.05)
    change("second")
    (run / "job.log").write_text("The end.")
    assert sender.finish(0) == 0
    monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", server.host)
    found = open_store(place).find("job")
    assert found is not None
    assert {file.path for file in found.files} == {"toy.json", "job.log"}


def test_at_the_end_only_means_at_the_end_only(
    run: Path, toy_kind: Any, registry: Any, plain_environment: None, capsys: pytest.CaptureFixture[str]
) -> None:
    place = parse_place(f"oci://{registry.host}/team/at-the-end")
    sender = Sender(place, toy_kind, run, "job", "end", interval=0.05)
    sender.start()
    (run / "toy.json").write_text((run / "toy.json").read_text() + " ")
    time.sleep(0.5)
    assert "Sent" not in capsys.readouterr().out
    assert sender.finish(75) == 75
    assert open_store(place).find("count-toy") == open_store(place).find("job") is not None


def test_a_killed_pod_leaves_nothing_behind_on_its_volume(
    run: Path, toy_kind: Any, registry: Any, plain_environment: None
) -> None:
    left = run.parent / ".partial-results-job"
    left.mkdir()
    (left / "half").write_bytes(b"x")
    Sender(parse_place(f"oci://{registry.host}/team/killed"), toy_kind, run, "job", "end").finish(0)
    assert [path.name for path in run.parent.iterdir()] == ["count-toy"]
