"""The steps are typed as a person types them, and a person's trouble is noticed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import terminal
from follow import problems_of
from machine import Machine
from pages import Step
from terminal import Done, type_steps

TUTORIAL = Path("tutorial.md")
TOLD = "To take the samples, press Enter."


@dataclass(frozen=True)
class ThisMachine(Machine):
    """Runs the steps here."""

    def command(self, script: str) -> list[str]:
        return ["bash", f"{self.root}{script}"]


def _type(folder: Path, *scripts: str, page: str = TOLD) -> list[Done]:
    (folder / "var/tmp").mkdir(parents=True, exist_ok=True)
    steps = [Step("tutorial.md", number, script + "\n") for number, script in enumerate(scripts)]
    return type_steps(ThisMachine(folder, folder, folder), "test", steps, str(folder / "home"), page)


def test_steps_share_one_shell_at_a_terminal(tmp_path: Path) -> None:
    first, second, third = _type(
        tmp_path, "test -t 0 && test -t 1\nname=you", "sleep 60 &", 'kill $!; echo "$name"'
    )
    assert first.finished and second.finished and third.finished
    assert third.output.splitlines()[-1] == "you"
    assert sum(each.seconds for each in (first, second, third)) < 30


def test_the_first_step_that_fails_is_the_last_and_is_named(tmp_path: Path) -> None:
    done = _type(tmp_path, "true", "echo seen; false | true", "echo never")
    assert [each.finished for each in done] == [True, False]
    assert "seen" in done[1].output
    steps = [*(each.step for each in done), Step("tutorial.md", 2, "echo never\n")]
    assert problems_of(TUTORIAL, steps, done) == ["tutorial.md:1: failed: echo seen; false | true"]


def test_a_question_is_answered_if_the_page_tells_of_it(tmp_path: Path) -> None:
    ask = 'read -r -p "Directory of your code (empty for sample data): " answer; echo "[$answer]"'
    (done,) = _type(tmp_path, ask)
    assert done.finished and "[]" in done.output


def test_a_question_that_the_page_does_not_tell_of_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "SILENCE", 0.5)
    (done,) = _type(
        tmp_path, 'read -r -p "Directory of your code (empty for sample data): " x', page="Run it."
    )
    assert not done.finished
    assert "asks something that the page does not tell of" in done.output


def test_a_way_without_verification_or_completion_does_not_count(tmp_path: Path) -> None:
    verify, complete = "starfreight package verify packages/x\n", "curl http://127.0.0.1:8012/infill\n"
    right = [
        _done(verify, "  files  40 files, 4.9 MB: all digests match.\r\n"),
        _done(complete, '{"index": 0, "content": "    total = 0"}\r\n'),
    ]
    steps = [each.step for each in right]
    assert problems_of(TUTORIAL, steps, right) == []
    empty = [right[0], _done(complete, '{"content": " "}')]
    assert problems_of(TUTORIAL, steps, empty) == ["tutorial.md: the served model completed nothing"]
    refused = [_done(verify, "REFUSED"), right[1]]
    assert problems_of(TUTORIAL, steps, refused) == ["tutorial.md: no package was verified"]


def _done(script: str, output: str) -> Done:
    return Done(Step("tutorial.md", 1, script), 1.0, output, True)


def test_the_shell_and_all_that_it_started_end_with_the_last_step(tmp_path: Path) -> None:
    (done,) = _type(tmp_path, "echo pid $$")
    process = int(done.output.split("pid ")[-1].split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
