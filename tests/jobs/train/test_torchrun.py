"""The exit code of several processes: the record decides, then the failure that caused the others.

The launcher is torchrun's and the processes are real. A module that Python imports at its start stands for
the training program in them, so that each ends as a test needs it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from starfreight.errors import JobFailed
from starfreight.files import sha256_file
from starfreight.jobs.protocol.events import receive
from starfreight.jobs.train.torchrun import LOST_PEERS, _decisive, launch, lost_peers
from starfreight.records import FileDigest
from starfreight.run import Outcome, Run

PROCESS = """
import os, signal, sys, time
rank = int(os.environ.get("RANK", -1))
if rank >= 0:
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit({on_stop}))
    {program}
"""


@pytest.fixture
def prepared(write_job: Callable[..., Path], prepare: Callable[[Path], Path]) -> Path:
    """A run that has not begun."""
    return prepare(write_job(name="several"))


@pytest.fixture
def done(prepared: Path) -> Path:
    """A run whose first process has recorded success."""
    weights = prepared / "adapter/adapter_model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    file = FileDigest(
        path="adapter/adapter_model.safetensors", digest=sha256_file(weights), size=weights.stat().st_size
    )
    outcome = Outcome(steps=1, tokens=1, seconds=1.0, before=None, after=None, adapter=(file,))
    set_status(prepared, "done", outcome=outcome)
    assert Run.load(prepared).is_done(prepared)
    return prepared


def set_status(run: Path, status: str, **changes: Any) -> None:
    """Changes a record."""
    Run.load(run).model_copy(update={"status": status, **changes}).save(run)


@pytest.fixture
def launch_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Launches two processes of a program; returns the exit code and the events that the launcher sent."""

    def start(run: Path, program: str, on_stop: int = LOST_PEERS) -> tuple[int, list[dict[str, Any]]]:
        folder = tmp_path / "site"
        folder.mkdir()
        text = PROCESS.format(program=program, on_stop=on_stop)
        (folder / "sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            code = launch(run, 2, [str(run)])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return code, [event for line in capsys.readouterr().out.splitlines() if (event := receive(line))]

    return start


@pytest.mark.parametrize(
    "end", ["os.abort()", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)", "os._exit(101)"]
)
def test_a_process_that_fails_after_the_run_is_done_changes_nothing_and_is_noted(
    end: str, done: Path, launch_processes: Callable[..., Any]
) -> None:
    code, events = launch_processes(done, f"{end} if rank else os._exit(0)")
    assert code == 0
    (note,) = events
    assert note["event"] == "note"
    assert "Training process 1 of 2" in note["text"]
    assert "when the run was done" in note["text"]


def test_a_damaged_adapter_is_no_success(done: Path, launch_processes: Callable[..., Any]) -> None:
    (done / "adapter/adapter_model.safetensors").write_bytes(b"weight")
    code, _ = launch_processes(done, "os.abort() if rank else os._exit(0)")
    assert code == JobFailed.exit_code


@pytest.mark.parametrize(
    ("end", "expected", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, "process 1 of 2 was killed by signal 9"),
        ("os.abort()", 1, "process 1 of 2 was killed by signal 6"),
        ("os._exit(101)", 1, "lost the connection to the others"),
        ("os._exit(2)", 2, None),
        ("os._exit(4)", 4, None),
    ],
)
def test_a_process_that_fails_before_is_a_failure_whatever_the_first_one_says_then(
    end: str, expected: int, words: str | None, prepared: Path, launch_processes: Callable[..., Any]
) -> None:
    set_status(prepared, "running")
    code, events = launch_processes(prepared, f"{end} if rank else (time.sleep(60), os._exit(0))")
    assert code == expected
    assert [event["event"] for event in events] == (["error"] if words else [])
    if words:
        assert words in events[0]["what"]


@pytest.mark.parametrize(("status", "expected"), [("stopped", 75), ("running", 75), ("failed", 1)])
def test_a_stop_ends_with_what_the_record_says(
    status: str, expected: int, prepared: Path, launch_processes: Callable[..., Any]
) -> None:
    set_status(prepared, status)
    code, _ = stopped(lambda: launch_processes(prepared, "time.sleep(60)", on_stop=75), prepared)
    assert code == expected


def test_a_stop_in_the_last_phase_does_not_undo_success(
    done: Path, launch_processes: Callable[..., Any]
) -> None:
    code, _ = stopped(lambda: launch_processes(done, "time.sleep(60)", on_stop=0), done)
    assert code == 0


def stopped(launched: Callable[[], Any], run: Path) -> Any:
    """Sends SIGTERM to this process, which is the launcher's, when its processes have begun."""
    ended = threading.Event()

    def send() -> None:
        limit = time.monotonic() + 60
        me = str(os.getpid())
        while not ended.is_set() and time.monotonic() < limit:
            children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
            commands = [Path(f"/proc/{child}/cmdline") for child in children]
            if sum(str(run).encode() in path.read_bytes() for path in commands if path.exists()) == 2:
                time.sleep(1)  # They have installed their handlers.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        return launched()
    finally:
        ended.set()
        thread.join()


def failures(*rows: tuple[int, int, int]) -> dict[int, Any]:
    """Failures of torchrun by rank, from (rank, exit code, seconds)."""
    return {rank: SimpleNamespace(exitcode=code, timestamp=1000 + at) for rank, code, at in rows}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (failures((0, 2, 0), (1, 1, 0)), 0),
        (failures((0, 1, 0), (1, 2, 1)), 1),
        (failures((0, LOST_PEERS, 0), (1, 1, 0)), 1),
        (failures((0, 1, 0), (1, -9, 0)), 1),
        (failures((0, LOST_PEERS, 0), (1, -15, 0), (2, -9, 1)), 2),
        # The launcher kills what does not stop within half a minute.
        (failures((0, -9, 30), (1, 1, 0)), 1),
        (failures((0, 75, 0), (1, 1, 0)), 0),
    ],
)
def test_the_failure_that_caused_the_others_is_the_one_reported(found: Any, expected: int) -> None:
    assert _decisive(found)[0] == expected


def test_an_error_that_follows_from_the_end_of_another_process_is_known() -> None:
    gloo = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:41"
    assert lost_peers(RuntimeError(gloo))
    assert lost_peers(torch.distributed.DistBackendError("NCCL error"))
    assert not lost_peers(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not lost_peers(ValueError("gloo"))
