"""Output of jobs, and their figures."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from unittest.mock import patch

from fuzzing import as_bytes, changed_bytes, changed_json, changed_values, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.console import Console, as_json
from starfreight.jobs.protocol.events import receive
from starfreight.jobs.protocol.log import LOG_FILE, as_text, read_log
from starfreight.jobs.protocol.progress import in_words, watch
from starfreight.jobs.train.plots import read_curves
from starfreight.jobs.train.progress import progress_of
from starfreight.run import METRICS_FILE, RUN_FILE, Run

(RUN_FOLDER,) = (Path(__file__).parents[1] / "golden" / "finished-runs").glob("golden-fim-*")
EVENTS = [
    {"event": "phase", "text": "Training"},
    {"event": "note", "text": "a note"},
    {"event": "run", "id": "acme-1"},
    {"event": "read", "bytes": 1 << 20, "whole": 1 << 22},
    {"event": "blocks", "blocks": 1, "examples": 1, "tokens": 1, "fill": 0.5, "left_out": {"too long": 1}},
    {"event": "plan", "steps": 3, "done": 1, "text": "Training", "unit": "steps"},
    {"event": "step", "step": 1, "loss": 1.5, "tokens_per_second": 1.0},
    {"event": "advance", "count": 1, "text": "again"},
    {"event": "measured", "when": "before", "loss": 1.0, "exact_match": None},
    {"event": "error", "kind": "JobFailed", "what": "It failed.", "where": None, "next": None},
]
ROWS = [{"step": 3, "loss": 1.5, "tokens_per_second": 9.5}, {"step": 3, "held_out_loss": 1.5}]
events = st.sampled_from(EVENTS).flatmap(changed_values).map(as_bytes)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@fuzz
@given(lines=st.lists(events, min_size=1, max_size=6))
def test_events_of_changed_values(lines: list[bytes]) -> None:
    def show() -> None:
        texts = [as_text(line) for line in lines]
        for text in texts:
            event = receive(text)
            if event is not None:
                in_words(event)
                as_json(event)
        with patch.object(sys, "stderr", Terminal()), patch.dict("os.environ", {"TERM": "xterm"}):
            watch(texts, Console())

    holds(show)


@fuzz
@given(data=st.sampled_from(EVENTS).map(as_bytes).flatmap(changed_bytes))
def test_a_log_of_changed_bytes(folder: Path, data: bytes) -> None:
    (folder / LOG_FILE).write_bytes(data)
    holds(lambda: watch(read_log(folder), Console(quiet=True)))


@fuzz
@given(lines=st.lists(st.sampled_from(ROWS).flatmap(changed_json), min_size=1, max_size=4))
def test_the_figures_of_a_run(folder: Path, lines: list[bytes]) -> None:
    shutil.copy(RUN_FOLDER / RUN_FILE, folder / RUN_FILE)
    (folder / METRICS_FILE).write_bytes(b"\n".join(lines) + b"\n")
    run = Run.load(folder)
    holds(lambda: progress_of(folder, run).figures(active=True))
    holds(lambda: read_curves(folder, run))
