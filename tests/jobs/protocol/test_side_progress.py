"""Work besides the steps of a job is shown, and changes no figure of the job."""

from __future__ import annotations

import json

import pytest

from starfreight.console import Console
from starfreight.jobs.metrics.samples import samples_of_output
from starfreight.jobs.protocol.progress import in_words, watch
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


def test_a_log_names_the_work_in_its_own_units(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_words(json.loads(_lines(capsys, monkeypatch)[0])) == "Measuring: 100 blocks"
    size = {"event": "plan", "steps": 5_500_000, "done": 0, "text": "Checking", "unit": "B"}
    assert in_words(size) == "Checking: 5.5 MB"
    assert in_words({"event": "plan", "steps": 7, "done": 2}) == "7 steps, 2 of them done"


def test_the_job_is_at_a_step_from_the_plan_of_its_steps_to_the_next_phase(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = _lines(capsys, monkeypatch)
    said: list[bool] = []
    loading = '{"event": "phase", "text": "Loading"}'
    step = '{"event": "step", "step": 3, "loss": 1.5, "tokens_per_second": 100}'
    watch([loading, *aside], Console(), said.append)
    assert not any(said)
    watch(['{"event": "plan", "steps": 7, "done": 2}', step, *aside], Console(), said.append)
    assert said[-1]
    watch([loading, *aside], Console(), said.append)
    assert not said[-1]
    watch(['{"event": "plan", "steps": 7, "done": 7}'], Console(), said.append)
    assert not said[-1]
