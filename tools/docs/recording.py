"""Records the tutorial's commands in a terminal: an asciicast, and an animated SVG of it.

    python tools/docs/recording.py docs/pictures/first-model

writes ``first-model.cast`` (asciinema's format, version 2) and ``first-model.svg``. It runs everything for
real, in a temporary directory, which takes a few minutes on two cores; waiting is shortened.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

COLUMNS, ROWS = 100, 30
_COMMANDS = (
    "starfreight init my-model",
    "starfreight plan my-model/recipe.yaml",
    "starfreight run my-model/recipe.yaml",
    "starfreight package verify packages/my-model-*",
    "starfreight try packages/my-model-* --prompt 'def total(items):'",
)
_TYPING, _LONGEST_PAUSE, _LONGEST_COMMAND, _AFTER, _APART = 0.03, 0.4, 8.0, 1.6, 0.15
_Event = tuple[float, str]
_Frame = tuple[float, tuple[str, ...]]


def record(commands: Sequence[str], folder: Path) -> list[_Event]:
    """Output of the commands in a terminal: pieces of output with their time in seconds.

    Questions are answered with the Enter key.

    Raises:
        SystemExit: a command fails.
    """
    events: list[_Event] = []
    now = 0.0
    for command in commands:
        for letter in "$ " + command:
            events.append((now, letter))
            now += _TYPING
        events.append((now, "\r\n"))
        pieces = [(min(pause, _LONGEST_PAUSE), piece) for pause, piece in _run(command, folder)]
        faster = min(1.0, _LONGEST_COMMAND / max(sum(pause for pause, _ in pieces), 0.001))
        for pause, piece in pieces:
            now += pause * faster
            events.append((now, piece))
        now += _AFTER
    return events


def _run(command: str, folder: Path) -> Iterator[tuple[float, str]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "xterm-256color", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        ["bash", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    last = time.monotonic()
    while True:
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # The end: no process has the terminal.
            break
        if not data:
            break
        text = data.decode(errors="replace")
        if text.rstrip(" ").endswith(":") and "\n" not in text:
            os.write(ours, b"\n")
        this = time.monotonic()
        yield this - last, text
        last = this
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{command}: exit code {process.returncode}")


def asciicast(shown: Sequence[_Frame]) -> str:
    """The frames in asciinema's format, each as the lines that differ from the frame before."""
    head: dict[str, Any] = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "Starfreight"}
    written = [json.dumps(head)]
    before: tuple[str, ...] = ("",) * ROWS
    for at, lines in shown:
        changed = "".join(
            f"\x1b[{row + 1};1H\x1b[2K{line}"
            for row, (line, old) in enumerate(zip(lines, before, strict=True))
            if line != old
        )
        written.append(json.dumps([round(at, 2), "o", changed], ensure_ascii=False))
        before = lines
    return "\n".join(written) + "\n"


def frames(events: Sequence[_Event]) -> list[_Frame]:
    """The screen's lines over time, without repetitions, at least 0.15 s apart."""
    import pyte

    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    shown: list[_Frame] = []
    for number, (at, text) in enumerate(events):
        stream.feed(text)
        later = events[number + 1][0] if number + 1 < len(events) else at + 1
        lines = tuple(line.rstrip() for line in screen.display)
        due = not shown or at - shown[-1][0] >= _APART or later - at >= _APART
        if due and (not shown or shown[-1][1] != lines):
            shown.append((at, lines))
    return shown


def animated_svg(shown: Sequence[_Frame], seconds: float) -> str:
    """The frames as one SVG, in an endless loop; the last one for readers who want no motion."""
    high, wide = 18, 8.4
    width, height = round(COLUMNS * wide + 24), ROWS * high + 24
    symbols: dict[str, int] = {}
    groups, rules = [], []
    for number, (at, lines) in enumerate(shown):
        until = shown[number + 1][0] if number + 1 < len(shown) else seconds
        uses = "".join(
            f'<use href="#l{symbols.setdefault(line, len(symbols))}" y="{row * high + 24}"/>'
            for row, line in enumerate(lines)
            if line
        )
        groups.append(f'<g id="f{number}">{uses}</g>')
        start, end = 100 * at / seconds, 100 * until / seconds
        before = f"0%,{start - 0.001:.3f}%{{visibility:hidden}}" if start > 0.001 else ""
        after = f"{end:.3f}%,100%{{visibility:hidden}}" if number + 1 < len(shown) else ""
        rules.append(f"@keyframes k{number}{{{before}{start:.3f}%{{visibility:visible}}{after}}}")
        rules.append(f"#f{number}{{animation-name:k{number}}}")
    drawn = "".join(
        f'<text id="l{number}" x="12" xml:space="preserve">{escape(line)}</text>'
        for line, number in symbols.items()
    )
    still = f"@media(prefers-reduced-motion){{g{{animation:none}}#f{len(shown) - 1}{{visibility:visible}}}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="A recording of the tutorial in a terminal">'
        f"<style>text{{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#d8dee9}}"
        f"g{{visibility:hidden;animation:{seconds:.2f}s step-end infinite}}{''.join(rules)}{still}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#1e2430"/>'
        f"<defs>{drawn}</defs>{''.join(groups)}</svg>\n"
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place:
        recorded = record(_COMMANDS, Path(place))
    target.parent.mkdir(parents=True, exist_ok=True)
    seen = frames(recorded)
    target.with_suffix(".cast").write_text(asciicast(seen), encoding="utf-8")
    target.with_suffix(".svg").write_text(animated_svg(seen, recorded[-1][0] + 4), encoding="utf-8")
    print(f"{len(seen)} frames, {recorded[-1][0]:.0f} s")
