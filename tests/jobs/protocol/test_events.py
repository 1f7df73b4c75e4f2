"""Events of jobs, including invalid ones of untrusted programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import JobFailed
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.events import error_from, receive
from starfreight.jobs.protocol.progress import in_words, watch

WHOLE: dict[str, dict[str, Any]] = {
    "phase": {"text": "Training"},
    "note": {"text": "  note"},
    "run": {"id": "acme-1"},
    "read": {"bytes": 1, "whole": 2},
    "blocks": {"blocks": 1, "examples": 1, "tokens": 1, "fill": 0.5, "left_out": {"too long": 1}},
    "plan": {"steps": 3, "done": 0},
    "step": {"step": 1, "loss": float("nan"), "tokens_per_second": 1.0},
    "measured": {"when": "before", "loss": 1.0, "exact_match": None},
    "error": {"kind": "JobFailed", "what": "It failed.", "where": None, "next": None},
}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_sent_is_received_and_has_words(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    events.send(kind, **WHOLE[kind])
    line = capsys.readouterr().out
    event = receive(line)
    assert event is not None
    assert in_words(event)
    watch([line], Console(quiet=True))


@pytest.mark.parametrize(
    "line",
    [
        *(f'{{"event": {json.dumps(kind)}}}' for kind in WHOLE),
        '{"event": "plan", "steps": 3}',
        '{"event": "step", "step": "1", "loss": 1, "tokens_per_second": 1}',
        '{"event": "plan", "steps": true, "done": false}',
        '{"event": "step", "step": 1, "loss": 1, "tokens_per_second": 1' + "0" * 400 + "}",
        '{"event": "read", "bytes": NaN, "whole": Infinity}',
        '{"event": "measured", "when": "before", "loss": 1, "exact_match": true}',
        '{"event": "blocks", "blocks": 1, "examples": 1, "tokens": 1, "fill": 1, "left_out": {"a": "b"}}',
        '{"event": "unknown"}',
        '{"event": ["step"]}',
        '{"event": 1',
        '{"event": ' + "[" * 100_000,
    ],
)
def test_a_line_that_only_begins_like_an_event_is_a_line(line: str) -> None:
    assert receive(line) is None
    assert watch([line], Console(quiet=True)) is None


def test_an_error_that_is_written_oddly_is_an_error_all_the_same() -> None:
    event = receive('{"event": "error", "kind": "os", "what": "It failed.", "where": 5, "next": [1]}')
    assert event is not None
    error = error_from(event)
    assert (type(error), error.where, error.fix) == (JobFailed, "5", "[1]")
