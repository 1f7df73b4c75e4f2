"""Events of jobs, including invalid ones of untrusted programs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from starfreight.console import Advance, Console
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
        '{"event": "measured", "when": "before", "loss": 1}',
        '{"event": "plan", "steps": 3, "done": 0, "text": ["Training"]}',
        '{"event": "plan", "steps": 3, "done": 0, "unit": 7}',
        '{"event": "plan", "steps": -3, "done": 0}',
        '{"event": "read", "bytes": 1, "whole": -2}',
        '{"event": "error", "what": "It failed.", "where": ' + "[" * 900 + "]" * 900 + "}",
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


class Recorder(Console):
    """Keeps each bar's title, total and sum, and the headings between them."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.shown: list[Any] = []
        self.open = 0

    def heading(self, text: str) -> None:
        self.shown.append(text)
        assert self.open == 0, "a heading inside a bar"

    @contextlib.contextmanager
    def progress(
        self, what: str, *, total: float | None, unit: str = "", done: float = 0
    ) -> Iterator[Advance]:
        bar = [what, total, done]
        self.shown.append(bar)
        assert self.open == 0, "two bars at once"
        self.open += 1

        def advance(amount: float, what: str | None = None) -> None:
            bar[2] += amount  # type: ignore[operator]

        yield advance
        self.open -= 1


def test_each_pass_over_the_data_has_a_bar_that_ends_at_its_total() -> None:
    # 6 of 10 bytes, then the pass needs 16; another pass over all 16; then the held-out data.
    read = [(6, 10), (4, 16), (6, 16), (9, 16), (7, 16), (3, 5), (4, 5)]
    console = Recorder()
    watch([f'{{"event": "read", "bytes": {size}, "whole": {whole}}}' for size, whole in read], console)
    assert [bar[1:] for bar in console.shown] == [[10, 6], [16, 16], [16, 16], [5, 3], [5, 4]]


def test_many_passes_over_little_data_have_one_bar() -> None:
    read = [(10, 40), (400, 40), (30, 40), (90, 40), (3, 5)]
    console = Recorder()
    watch([f'{{"event": "read", "bytes": {size}, "whole": {whole}}}' for size, whole in read], console)
    assert [bar[1:] for bar in console.shown] == [[40, 10], [None, 520], [5, 3]]


def test_a_phase_ends_the_bar_before_it() -> None:
    console = Recorder()
    watch(
        [
            '{"event": "read", "bytes": 1, "whole": 9}',
            '{"event": "plan", "steps": 2, "done": 1}',
            '{"event": "step", "step": 2, "loss": 1, "tokens_per_second": 1}',
            '{"event": "phase", "text": "Measuring"}',
            '{"event": "plan", "steps": 4, "done": 0, "text": "Counting", "unit": "lines"}',
        ],
        console,
    )
    assert console.shown == [
        ["Making examples", 9, 1], ["Training", 2, 2], "Measuring", ["Counting", 4, 0]
    ]  # fmt: skip
