"""Output of jobs whose pods are gone, have not started, or were stopped by the cluster."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.jobs.backends.kubernetes.client import past_output
from starfreight.jobs.backends.kubernetes.client.stop_advice import with_advice
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target

ON = ("--on", "kubernetes")
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}
STOPPED = {
    "event": "error", "kind": "JobStopped", "what": "The job was stopped on request.", "where": None,
    "next": "run the same command again",
}  # fmt: skip


class Log(io.BytesIO):
    """A program in a pod that prints a file."""

    def __init__(self, data: bytes, exit_code: int) -> None:
        super().__init__(data)
        self.exit_code, self.errors = exit_code, b"" if data else b"cat: No such file or directory"


@pytest.fixture
def kept_log(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The log in the run, by the path that is read."""
    asked: dict[str, Any] = {"data": b"", "exit": 1, "command": None}

    def execute(cluster: Any, pod: str, container: str, command: list[str]) -> Log:
        asked["command"] = command
        return Log(asked["data"], asked["exit"])

    monkeypatch.setattr(past_output, "Execution", execute)
    monkeypatch.setattr(past_output, "reader_job", lambda *given: {})
    monkeypatch.setattr(past_output, "reader_pod", lambda *given: contextlib.nullcontext("pod"))
    return asked


def test_the_log_in_the_run_is_read_if_the_pods_are_gone(
    api: Any, kept_log: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    api.job("acme", status=COMPLETE)
    kept_log |= {"data": b'{"event": "phase", "text": "Training"}\nstep 1\n', "exit": 0}
    assert main(["jobs", "logs", "acme", *ON]) == 0
    shown = capsys.readouterr()
    assert shown.out == "Training\nstep 1\n"
    assert "The pods of acme are gone" in shown.err
    assert kept_log["command"] == ["cat", "/runs/.jobs/acme/job.log"]


def test_a_run_without_a_log_is_an_error_with_the_next_step(
    api: Any, kept_log: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    api.job("acme", status=COMPLETE)
    assert main(["jobs", "logs", "acme", *ON]) == 2
    shown = capsys.readouterr().err
    assert "The pods of acme are gone, and their output with them, and its run has no job.log" in shown
    assert "starfreight jobs fetch acme --on kubernetes" in shown


def test_a_job_without_a_volume_says_the_same(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    template = {"spec": {"containers": [{"name": "train", "image": "x"}]}}
    api.job("acme", spec={"template": template}, status=COMPLETE)
    assert main(["jobs", "logs", "acme", *ON]) == 2
    shown = capsys.readouterr().err
    assert "The pods of acme are gone" in shown
    assert "PersistentVolumeClaim" in shown


@pytest.mark.parametrize(
    ("cancelled", "why"),
    [(True, "acme has no pods: cancelled"), (False, "acme has no pods: it was suspended by somebody else")],
)
def test_a_job_that_was_stopped_says_so_and_its_log_is_read(
    api: Any, kept_log: dict[str, Any], cancelled: bool, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = {"annotations": {"dev.starfreight/paused": "{}"}} if cancelled else {}
    api.job("acme", spec={"suspend": True}, status={}, metadata=notes)
    kept_log |= {"data": b"step 1\n", "exit": 0}
    assert main(["jobs", "logs", "acme", *ON]) == 0
    shown = capsys.readouterr()
    assert shown.out == "step 1\n"
    assert why in shown.err


def test_a_sweep_names_the_way_to_one_variant(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.job("acme", spec={"completions": 3, "completionMode": "Indexed"}, status=COMPLETE)
    assert main(["jobs", "logs", "acme", *ON]) == 2
    assert "starfreight jobs logs acme-0 --on kubernetes" in capsys.readouterr().err


def test_a_job_that_has_not_started_says_why(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.job("acme", status={})
    assert main(["jobs", "logs", "acme", *ON]) == 0
    assert "acme has no output yet: its pod is not created yet." in capsys.readouterr().err
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "denied"}}
    api.pod("acme-1", "acme", waiting, "Pending")
    assert main(["jobs", "logs", "acme", *ON]) == 0
    assert "acme has no output yet: image: the image of train cannot be pulled" in capsys.readouterr().err


def test_a_stop_is_no_error_and_its_advice_fits_a_cluster(
    api: Any, reply: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.job("acme")
    state = {"terminated": {"exitCode": 75, "startedAt": "2026-01-01T00:00:00Z"}}
    api.pod("acme-1", "acme", state, "Failed")
    line = f"2026-01-01T00:00:00Z {json.dumps(STOPPED)}\n".encode()
    api.before = lambda asked: reply(pieces=[line]) if asked.path.endswith("/log") else None
    assert main(["jobs", "logs", "acme", *ON]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "Stopped: The job was stopped on request.; next: nothing, if the cluster stopped it"
    )
    assert "starfreight jobs resume acme --on kubernetes" in out
    assert "same command" not in out


def test_other_lines_stay_as_they_are() -> None:
    for line in ("text", '{"event": "error", "kind": "InputError", "what": "x"}', '{"event": "phase"}'):
        assert with_advice(line, Target(JOB, "acme"), "--on kubernetes") == line
