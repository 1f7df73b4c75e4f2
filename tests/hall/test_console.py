"""Results on standard output, everything else on standard error."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from starfreight.console import Console, human_count, time_in_words
from starfreight.errors import GateError, JobStopped
from starfreight.labelled_console import for_variant


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
    assert lines == ["loss 100: 101 of 300 steps, 20 s left", "loss 200: 201 of 300 steps, 10 s left"]


@pytest.mark.parametrize("done", [0, 200])
def test_the_time_left_counts_neither_a_slow_start_nor_steps_that_were_done_before(
    done: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("starfreight.console.time.monotonic", lambda: now)
    with Console().progress("Training", total=done + 10, unit="steps", done=done) as advance:
        for seconds in (600, 60, 60, 60):
            now += seconds
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", ")[2] for line in lines] == ["", "", "7:00 min left", "6:00 min left"]


def test_a_log_of_many_hours_is_not_flooded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("starfreight.console.time.monotonic", lambda: now)
    with Console().progress("Training", total=36_000, unit="steps") as advance:
        for _ in range(36_000):
            now += 1
            advance(1)
    assert 50 < len(capsys.readouterr().err.splitlines()) < 200


def test_a_wanted_stop_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = JobStopped("Stopped at step 7; its checkpoint is kept.", fix="the same command continues")
    Console().error(stopped)
    assert capsys.readouterr().err.splitlines() == [
        "Stopped at step 7; its checkpoint is kept.", "  next:  the same command continues"
    ]  # fmt: skip
    Console(json_output=True).error(stopped)
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "JobStopped"


def test_a_variant_of_a_sweep_is_named_in_headings_and_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console()
    assert for_variant(console, "acme", 0, 1) is console
    now = 0.0
    monkeypatch.setattr("starfreight.console.time.monotonic", lambda: now)
    named = for_variant(console, "acme-rank8", 1, 3)
    named.heading("Training")
    with named.progress("Training", total=2, unit="steps") as advance:
        now = 11
        advance(1, "loss 2")
    assert capsys.readouterr().err.splitlines() == [
        "acme-rank8 (2 of 3): Training", "acme-rank8 (2 of 3): loss 2: 1 of 2 steps"
    ]  # fmt: skip


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


def test_the_time_left_is_shown_for_steps_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("rich.console.monotonic", lambda: now)
    with Console().progress("Training", total=10, unit="steps") as advance:
        for _ in range(4):
            now += 61
            advance(1, "")
    last = terminal.getvalue().rpartition("Training")[2]
    assert "4/10 steps" in last and "3/10" not in last
    assert "6:06 min left" in terminal.getvalue()


def test_a_bar_stays_one_line_of_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("rich.console.monotonic", lambda: now)
    with Console().progress("Training", total=4000, unit="steps") as advance:
        for _ in range(4):
            now += 61
            advance(1, "loss 2.632, 389 tokens/s")
    assert terminal.getvalue().count("\n") == 1 and "\x1b[1A" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("total", "unit", "amount", "shown"),
    [
        (None, "files", 147, "147 files"), (None, "B", 3e6, "3.0 MB"), (5, "files", 2, "2/5 files"),
        (1, "steps", 1, "1/1 step"), (1.2e6, "B", 1.5e6, "1.5 MB"), (2e6, "B", 1.5e6, "1.5 MB of 2.0 MB"),
        (3, "steps", 4, "4 steps"),
    ],
)  # fmt: skip
def test_a_bar_shows_no_total_that_is_unknown_or_exceeded(
    total: float | None, unit: str, amount: float, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with Console().progress("Reading", total=total, unit=unit) as advance:
        advance(amount)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue()).splitlines()[-1]
    assert f" {shown} " in last
    assert "/?" not in last


def test_a_line_of_progress_shows_no_total_that_is_exceeded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("starfreight.console.time.monotonic", lambda: now)
    with Console().progress("Reading", total=2e6, unit="B") as advance:
        now = 60.0
        advance(3e6)
    assert capsys.readouterr().err == "Reading: 3.0 MB\n"


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
    assert "one ]0;title  2J\ntwo\n" in said and "six ]0;title  2J\n    seven\n" in said
    assert all(word in said for word in ("three", "five"))
    assert not any(bad in said for bad in ("\x1b]", "\x07", "\x9b"))


def test_the_lines_of_a_quoted_text_do_not_look_like_the_errors_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quoted = "a\nError: b\n  next:  sh"
    Console().error(GateError(quoted, where=quoted, fix=quoted))
    lines = capsys.readouterr().err.splitlines()
    assert [line[:8] for line in lines if not line.startswith("    ")] == ["Error: a", "  where:", "  next: "]


def test_an_error_that_quotes_much_is_short() -> None:
    error = GateError("a" * 100_000 + "!", where="b" * 100_000, fix="c" * 100_000)
    assert len(str(error)) < 20_000 and error.what.endswith("a!")
    assert GateError("It is wrong.", where=(path := "/" + "d" * 4095)).where == path


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
        (1, "steps", "1 step"), (0, "steps", "0 steps"), (1, "held-out blocks", "1 held-out block"),
        (1, "duties", "1 duty"), (1, "repositories", "1 repository"), (1, "passes", "1 pass"),
        (1, "processes", "1 process"), (1, "values", "1 value"), (1, "texts", "1 text"), (1, "", "1"),
    ],
)  # fmt: skip
def test_amounts_are_written_for_people(amount: float, unit: str, text: str) -> None:
    assert human_count(amount, unit) == text


HOSTILE = "\x1b]0;title\x07\x9b2J\u202etxt.exe\u2066\u200f\x7f\r\x08"


def test_no_result_steers_the_terminal_or_turns_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    Console().result({"name": HOSTILE}, f"Model {HOSTILE}\n\tgrün\u3000模型")
    out = capsys.readouterr().out
    assert all(each.isprintable() or each in "\n\t\u3000" for each in out)
    assert out.endswith("\n\tgrün\u3000模型\n")
    Console(json_output=True).result({HOSTILE: HOSTILE, "name": "grün 模型"}, "")
    out = capsys.readouterr().out
    assert all(each.isprintable() or each == "\n" for each in out)
    assert json.loads(out) == {HOSTILE: HOSTILE, "name": "grün 模型"}
    assert "grün 模型" in out


def test_no_error_steers_the_terminal_with_json_either(capsys: pytest.CaptureFixture[str]) -> None:
    Console(json_output=True).error(GateError(f"It is {HOSTILE}.", where=HOSTILE))
    out, err = capsys.readouterr()
    assert all(each.isprintable() or each == "\n" for each in out + err)
    assert json.loads(out)["error"]["where"] == HOSTILE


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_json_is_json_on_a_stream_without_the_characters(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    Console(json_output=True).result({"name": "grün 模型"}, "")
    stream.seek(0)
    assert json.loads(stream.read()) == {"name": "grün 模型"}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"), (0.4, "0 s"), (42, "42 s"), (59.6, "1:00 min"), (75, "1:15 min"), (3569, "59:29 min"),
        (3590, "1:00 h"), (3700, "1:02 h"), (400_000, "111:07 h"),
    ],
)  # fmt: skip
def test_durations_are_in_hours_and_minutes(seconds: float, said: str) -> None:
    assert time_in_words(seconds) == said
