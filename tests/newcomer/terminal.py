"""Types a page's steps into one shell at a pseudo-terminal, as its reader does."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from machine import Machine
from pages import ANSWERS, Step

_MARK = "\x1e"
_STARTED = re.compile(rf"{_MARK}(\d+|end)\r?\n")
_ASKS = re.compile(r"[:?\]>] ?\Z")
SILENCE = 30.0
"""Seconds without output after a line that looks like a question, until the shell counts as waiting."""
LIMIT = 1800.0
"""Seconds for one step."""


@dataclass
class Done:
    """A step that was typed.

    Args:
        step: what was typed.
        seconds: how long it took.
        output: all that the terminal showed.
        finished: the step ended well.
    """

    step: Step
    seconds: float = 0.0
    output: str = ""
    finished: bool = False
    answered: list[str] = field(default_factory=list)


def type_steps(machine: Machine, name: str, steps: Sequence[Step], directory: str, page: str) -> list[Done]:
    """Runs the steps one after another until one fails; shows them on this terminal.

    Args:
        machine: where.
        name: of the script.
        steps: those to run, in order.
        directory: the reader's directory, relative to the home directory.
        page: the page's text; an answer is only given if the page tells of it.
    """
    script = machine.write_script(f"{name}.sh", _script(steps, directory))
    child, terminal = pty.fork()
    if child == 0:
        command = machine.command(script)
        os.execvp(command[0], command)
    done = [Done(step) for step in steps]
    try:
        _follow(terminal, done, page)
    finally:
        os.kill(child, signal.SIGKILL)  # With its process namespace.
        os.waitpid(child, 0)
        os.close(terminal)
    return [each for each in done if each.seconds]


def _script(steps: Sequence[Step], directory: str) -> str:
    """A bash script that announces each step, and stops at the first command that fails."""
    lines = ["set -e -o pipefail", f"mkdir -p {shlex.quote(directory)}; cd {shlex.quote(directory)}"]
    for number, step in enumerate(steps):
        shown = "".join(f"$ {line}\n" for line in step.typed.splitlines() if line.strip())
        lines += [f"printf '\\036%d\\n%s' {number} {shlex.quote(shown)}", step.typed]
    lines += ["printf '\\036end\\n'", ""]
    return "\n".join(lines)


def _follow(terminal: int, done: list[Done], page: str) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    current: Done | None = None
    text, heard = "", time.monotonic()
    started = heard
    while True:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        now = time.monotonic()
        if not ready:
            if current is not None and current.output:
                _answer(terminal, current, page, silent=now - heard)
            if now - started > LIMIT:
                _stuck(current, f"took more than {LIMIT:.0f} seconds")
                return
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # The last process has closed the terminal.
            data = b""
        if not data:
            if current is not None:
                current.seconds = now - started
            return
        heard = now
        text += decoder.decode(data)
        while (mark := _STARTED.search(text)) is not None:
            _show(current, text[: mark.start()])
            text = text[mark.end() :]
            if current is not None:
                current.seconds, current.finished = max(now - started, 1e-3), True
            if mark[1] == "end":
                return
            current, started = done[int(mark[1])], now
        if _MARK not in text:
            _show(current, text)
            text = ""
            if current is not None:
                _answer(terminal, current, page, silent=0)


def _show(current: Done | None, text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
    if current is not None:
        current.output += text


def _answer(terminal: int, current: Done, page: str, *, silent: float) -> None:
    """Types the answer to a question that the page tells of; complains of one that it does not."""
    tail = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", current.output[-500:])
    for answer in ANSWERS:
        if answer.told in page and re.search(answer.prompt, tail):
            current.answered.append(answer.prompt)
            current.output += "\n"  # The same question is not answered twice.
            os.write(terminal, f"{answer.typed}\n".encode())
            return
    if silent > SILENCE and _ASKS.search(tail):
        _stuck(current, "asks something that the page does not tell of")
        os.write(terminal, b"\x03")


def _stuck(current: Done | None, why: str) -> None:
    _show(current, f"\n*** The step {why}.\n")
