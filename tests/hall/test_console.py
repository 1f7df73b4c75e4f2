"""Results on standard output, everything else on standard error."""

from __future__ import annotations

import io
import json
import sys

import pytest

from starfreight.console import Console, human_count
from starfreight.errors import GateError


def test_a_pipe_sees_results_only(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.note("on the way")
    console.heading("a step")
    with console.progress("Reading", total=2, unit="B") as advance:
        advance(2)
    console.result({"a": 1}, "done")
    out, err = capsys.readouterr()
    assert out == "done\n"
    assert "on the way" in err


def test_with_json_the_result_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    Console(json_output=True).result({"a": "ä"}, "done")
    assert json.loads(capsys.readouterr().out) == {"a": "ä"}


def test_quiet_leaves_only_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.note("on the way")
    console.heading("a step")
    with console.progress("Reading", total=None) as advance:
        advance(1)
    console.result({}, "done")
    assert capsys.readouterr() == ("done\n", "")


def test_an_error_says_what_and_where_and_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    error = GateError("It is wrong.", where="there", fix="do this")
    Console().error(error)
    assert capsys.readouterr() == ("", "Error: It is wrong.\n  where: there\n  next:  do this\n")
    Console(json_output=True).error(error)
    assert json.loads(capsys.readouterr().out)["error"] == {
        "kind": "GateError", "what": "It is wrong.", "where": "there", "next": "do this", "exit_code": 3,
    }  # fmt: skip


def test_a_log_gets_a_line_now_and_then_and_not_for_every_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("starfreight.console.time.monotonic", lambda: now)
    with Console().progress("Training", total=300, unit="steps") as advance:
        for step in range(300):
            now = step * 0.1
            advance(1, f"loss {step}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["loss 100: 101 steps of 300 steps", "loss 200: 201 steps of 300 steps"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_that_cannot_redraw_a_line_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "dumb")
    Console().heading("A step")
    assert terminal.getvalue() == "A step\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with Console().progress("Reading", total=10**9, unit="B") as advance:
        advance(10**9)
    assert "Reading" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()


def test_what_another_program_prints_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with Console().progress("Building", total=2) as advance:
        advance(1, "cannot open [/srv/x]: no")
        advance(1)
    assert "[/srv/x]" in terminal.getvalue()


def test_nothing_that_is_said_steers_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    title = "\x1b]0;title\x07\x9b2J"
    console = Console()
    console.note(f"one{title}\ntwo")
    console.heading(f"three{title}")
    with console.progress(f"four{title}", total=2) as advance:
        advance(1, f"five{title}")
        advance(1)
    console.error(GateError(f"six{title}\nseven", where=title, fix=title))
    said = terminal.getvalue()
    assert "one ]0;title  2J\ntwo\n" in said and "six ]0;title  2J\nseven\n" in said
    assert all(word in said for word in ("three", "five"))
    assert not any(bad in said for bad in ("\x1b]", "\x07", "\x9b"))


def test_a_file_name_that_is_no_text_can_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    Console(json_output=True).error(GateError("It is wrong.", where="a\udcff"))
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["where"] == "a\udcff"
    assert "a\\udcff" in err


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (0, "B", "0 B"), (999, "B", "999 B"), (1000, "B", "1.0 kB"), (1_234_567, "B", "1.2 MB"),
        (2.5e9, "B", "2.5 GB"), (3e12, "B", "3.0 TB"), (12, "steps", "12 steps"), (12345, "", "12,345"),
    ],
)  # fmt: skip
def test_amounts_are_written_for_people(amount: float, unit: str, text: str) -> None:
    assert human_count(amount, unit) == text
