"""Ctrl-C is answered at once while a container is followed, whether it exists already or not."""

from __future__ import annotations

import os
import signal
import time

import pytest

from starfreight.console import Console
from starfreight.jobs.backends.docker import interrupts as interrupts_module
from starfreight.jobs.backends.docker.interrupts import forward_interrupts
from starfreight.jobs.backends.stop_answers import FIRST, FIRST_IN_STEP, SECOND, StopAnswers


def _wait_for(lines: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    end, found = time.monotonic() + 20, ""
    while len(found.splitlines()) < lines and time.monotonic() < end:
        time.sleep(0.01)
        found += capsys.readouterr().err
    return found.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_follower_of_a_container_answers_and_remembers(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with forward_interrupts(Console()) as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), number)
        assert _wait_for(1, capsys) == [FIRST]
        assert interrupts.requested
        os.kill(os.getpid(), number)
        assert _wait_for(1, capsys) == [SECOND]
    assert signal.getsignal(number) is before


def test_a_job_at_a_step_finishes_it(capsys: pytest.CaptureFixture[str]) -> None:
    with forward_interrupts(Console()) as interrupts:
        interrupts.answers.set_in_step(True)
        os.kill(os.getpid(), signal.SIGINT)
        assert _wait_for(1, capsys) == [FIRST_IN_STEP]


def test_a_container_that_does_not_end_after_a_second_request_is_killed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(interrupts_module, "send_signal", lambda *what: sent.append(what))
    monkeypatch.setattr(interrupts_module, "AT_ONCE", 0.1)
    with forward_interrupts(Console()) as interrupts:
        interrupts.follow("it")
        os.kill(os.getpid(), signal.SIGINT)
        assert _wait_for(1, capsys) == [FIRST]
        os.kill(os.getpid(), signal.SIGINT)
        end = time.monotonic() + 20
        while len(sent) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    assert sorted(sent) == [("it", "SIGKILL"), ("it", "SIGTERM"), ("it", "SIGTERM")]
    assert interrupts.killed


def test_a_container_that_ends_after_a_second_request_is_not_killed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(interrupts_module, "send_signal", lambda *what: sent.append(what))
    monkeypatch.setattr(interrupts_module, "AT_ONCE", 600)
    with forward_interrupts(Console()) as interrupts:
        interrupts.follow("it")
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            _wait_for(1, capsys)
    assert not interrupts.killed
    assert {name for _, name in sent} == {"SIGTERM"}


def test_a_third_request_needs_no_answer_but_is_acted_on(capsys: pytest.CaptureFixture[str]) -> None:
    acted: list[int] = []
    answers = StopAnswers(Console(), acted.append)
    with answers.running():
        for _ in range(3):
            answers.add()
    assert capsys.readouterr().err.splitlines() == [FIRST, SECOND]
    assert (acted, answers.count) == ([1, 2, 3], 3)


def test_an_error_while_following_ends_the_thread() -> None:
    with pytest.raises(ValueError, match="broken"), forward_interrupts(Console(quiet=True)):
        raise ValueError("broken")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
