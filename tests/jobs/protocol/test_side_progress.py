"""Work besides the steps of a job is shown, and changes no figure of the job."""

from __future__ import annotations

import pytest

from starfreight.console import Console
from starfreight.jobs.metrics.samples import samples_of_output
from starfreight.jobs.protocol.progress import watch
from starfreight.jobs.protocol.side_progress import side_progress


def _lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    now = 0.0
    monkeypatch.setattr("starfreight.jobs.protocol.side_progress.time.monotonic", lambda: now)
    with side_progress("Measuring", 100, "blocks") as advance:
        for _ in range(100):
            now += 0.11
            advance(1)
    return capsys.readouterr().out.splitlines()


def test_progress_is_told_twice_a_second_and_adds_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _lines(capsys, monkeypatch)
    assert len(lines) == 1 + 100 / 5
    monkeypatch.undo()
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 2
        return now

    monkeypatch.setattr("starfreight.console.time.monotonic", clock)
    assert watch(lines, Console()) is None
    told = capsys.readouterr().err.splitlines()
    assert told and all(line.startswith("Measuring: ") and line.endswith("left") for line in told[1:-1])
    assert "of 100 blocks" in told[0]


def test_the_steps_of_the_job_stay_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ['{"event": "plan", "steps": 7, "done": 2}', *_lines(capsys, monkeypatch)]
    values = {sample.family.name: sample.value for sample in samples_of_output(lines, {})}
    assert 7 in values.values() and 100 not in values.values()
