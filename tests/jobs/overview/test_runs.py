"""``starfreight runs``: all runs on this machine and in a cluster, also while a place does not answer."""

from __future__ import annotations

import datetime
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.local.process import process_identity
from starfreight.jobs.overview.cluster_rows import progress_in
from starfreight.jobs.overview.collect import collect
from starfreight.jobs.overview.row import RunRow, table

GOLDEN = Path(__file__).parents[2] / "golden" / "finished-runs" / "golden-fim-de8303b786"


def put_run(runs: Path, name: str, **job: Any) -> Path:
    """The finished run under another name; with ``job``, one whose job has not ended."""
    shutil.copytree(GOLDEN, runs / name)
    path = runs / name / "run.json"
    record = json.loads(path.read_text()) | {"id": name}
    if job:
        record |= {"status": "running", "outcome": None}
        started = {"version": 1, "runner": "local", "handle": "1", "started": "2026-01-01T00:00:00Z"}
        (runs / name / "job.json").write_text(json.dumps(started | job))
    path.write_text(json.dumps(record))
    return runs / name


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no kubeconfig"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.chdir(tmp_path)


def test_the_table_has_every_run_with_its_progress_and_active_ones_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_run(tmp_path / "runs", "z-done")
    put_run(tmp_path / "runs", "b-gone", handle="1", identity="another boot 1")
    me = process_identity(os.getpid())
    put_run(tmp_path / "runs", "a-active", handle=str(os.getpid()), identity=me)
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    head, *lines = out.splitlines()
    assert head.split() == ["RUN", "WHERE", "STATE", "PROGRESS", "LOSS", "LEFT", "AGE"]
    assert [line.split()[:3] for line in lines] == [
        ["b-gone", "local", "interrupted"], ["z-done", "local", "done"], ["a-active", "local", "running"],
    ]  # fmt: skip
    assert err == ""
    assert main(["runs", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    steps = json.loads((GOLDEN / "run.json").read_text())["outcome"]["steps"]
    assert (rows["z-done"]["done"], rows["z-done"]["total"]) == (steps, steps)
    assert rows["z-done"]["loss"] > 0
    assert rows["a-active"]["age_seconds"] > 3_600
    assert rows["z-done"]["seconds_left"] is rows["b-gone"]["seconds_left"] is None


def test_no_runs_are_no_error_but_a_missing_directory_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["runs"]) == 0
    assert "To start one" in capsys.readouterr().out
    assert main(["runs", "--runs", "missing"]) == 2
    assert main(["runs", "--watch"]) == 2
    assert "--watch requires a terminal" in capsys.readouterr().err


def test_places_that_do_not_answer_are_one_line_each_and_hide_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        put_run(tmp_path / "runs", f"in-docker-{number}", runner="docker", handle="0" * 64)
    put_run(tmp_path / "runs", "at-home")
    config = tmp_path / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setattr("starfreight.jobs.overview.cluster_rows._PATIENCE", 0.2)
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert "at-home" in out
    assert [line.split()[2] for line in out.splitlines() if "in-docker" in line] == ["unknown"] * 3
    assert sorted(line.split()[0] for line in err.splitlines()) == ["docker", "kubernetes"]
    assert "No Docker Engine is running" in err


def test_an_engine_that_hangs_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_run(tmp_path, "in-docker", runner="docker", handle="0" * 64)
    put_run(tmp_path, "at-home")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        overview = collect((tmp_path,), Location(), Console(quiet=True), patience=0.3)
        assert time.monotonic() - began < 5
    assert {row.name: row.state for row in overview.rows} == {"in-docker": "unknown", "at-home": "done"}
    assert "no answer" in overview.unreachable["docker"]


def test_the_progress_in_a_cluster_is_that_of_the_log() -> None:
    def line(second: int, **event: Any) -> str:
        return f"2026-01-01T00:00:{second:02}.123456789Z {json.dumps(event)}"

    steps = [line(n, event="step", step=n, loss=2.0 - n / 10, tokens_per_second=1.0) for n in range(1, 6)]
    aside = line(0, event="plan", steps=5_500_000, done=0, text="Checking", unit="B", aside=True)
    row = progress_in(
        RunRow("a", "kubernetes", "running"),
        [aside, line(0, event="plan", steps=65, done=0), aside],
        ["2026-01-01T00:00:00Z words of a library", "", "2026 \x1b[2J", *steps],
    )
    assert (row.done, row.total, row.loss, row.seconds_left) == (5, 65, 1.5, 60.0)
    assert progress_in(row, [], ["nothing"]) == row


def test_watching_shows_the_table_until_ctrl_c(tmp_path: Path) -> None:
    put_run(tmp_path / "runs", "at-home")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "starfreight", "runs", "--watch"],
        cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while b"at-home" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(ours)


def test_long_names_leave_room_for_the_other_columns_of_a_terminal() -> None:
    now = datetime.datetime.fromisoformat("2026-01-01T00:01:00+00:00")
    rows = [
        RunRow(f"acme-coder-python-rank-8-learning-rate-0.000{end}-7cf9aa822{end}", "local", "running",
               "2026-01-01T00:00:00Z", 250, 1000, loss=0.741, seconds_left=366)
        for end in (1, 2)
    ]  # fmt: skip
    whole, fits, narrow = (table(rows, now, width).splitlines() for width in (None, 80, 40))
    assert rows[0].name in whole[1]
    assert {len(line) for line in fits[1:]} == {80} and fits[1].endswith("6:06 min  1:00 min")
    assert fits[1].startswith("acme-co") and "…" in fits[1] and fits[1] != fits[2]
    assert [line.split()[1:] for line in narrow] == [line.split()[1:] for line in whole]
