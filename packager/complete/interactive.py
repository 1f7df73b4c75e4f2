"""A conversation in the terminal: places and texts in, completions out."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from starfreight.completion.completer import Completer
from starfreight.completion.place import find_place, looks_like_a_place
from starfreight.console import Console, harmless
from starfreight.errors import StarfreightError
from starfreight.ollama_template.template import Message

MARK = '"""'
"""At the beginning and the end of a text of several lines, as in ``ollama run``."""

_HELP = (
    "Write FILE:LINE[:COLUMN] to fill in there, or a text to complete; begin and end a text of several lines "
    f"with {MARK}. /clear forgets the conversation. Ctrl-C stops a completion, Ctrl-D leaves."
)


def show(pieces: Iterator[str]) -> None:
    """Print a completion while it is generated, without characters that steer a terminal."""
    for piece in pieces:
        sys.stdout.write(harmless(piece))
        sys.stdout.flush()


def converse(model: Completer, console: Console) -> None:
    """Complete what is written on standard input, until it ends."""
    console.note(_HELP)
    messages: list[Message] = []
    while True:
        try:
            text = _read()
        except KeyboardInterrupt:
            console.note("Ctrl-D leaves.")
            continue
        if text is None:
            if sys.stdin.isatty():
                print(flush=True)
            return
        if not text.strip():
            continue
        if text.strip() == "/clear":
            messages = []
            continue
        try:
            _complete(model, text, messages)
        except KeyboardInterrupt:
            print(flush=True)
            console.note("Stopped.")
        except StarfreightError as error:
            console.error(error)
            if messages:
                messages.pop()


def _complete(model: Completer, text: str, messages: list[Message]) -> None:
    if looks_like_a_place(text):
        show(model.fill(find_place(text)))
    else:
        if not model.converses:
            messages.clear()
        messages.append(("user", text))
        try:
            show(model.answer(messages))
        finally:
            if model.last.text:
                messages.append(("assistant", model.last.text))
    print(flush=True)


def _read() -> str | None:
    """A line, or the lines between two marks; ``None`` at the end of the input."""
    shown = sys.stdin.isatty()
    line = _line("> " if shown else "")
    if line is None or not line.startswith(MARK):
        return line
    lines = [line.removeprefix(MARK)]
    while not lines[-1].endswith(MARK):
        more = _line("... " if shown else "")
        if more is None:
            break
        lines.append(more)
    return "\n".join(lines).removesuffix(MARK)


def _line(prompt: str) -> str | None:
    try:
        return input(prompt)
    except EOFError:
        return None
