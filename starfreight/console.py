"""What a command says: progress for people, plain lines for logs, one JSON object for machines.

    console = Console(json_output=False)
    with console.progress("Reading", total=size, unit="B") as advance:
        advance(len(piece))
    console.result({"package": str(path)}, f"The package lies in {path}.")

Results go to standard output; everything else goes to standard error, so that a pipe sees results only.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from starfreight.errors import StarfreightError


class Advance(Protocol):
    """Moves a progress bar on by so many units, and says a word about it."""

    def __call__(self, amount: float, what: str | None = None) -> None:
        """``what`` takes the place of the bar's text when it is given."""


_PLAIN_INTERVAL = 10.0
"""Seconds between two progress lines where standard error is not a terminal."""

_AT_ONCE = 1 << 20
"""So few bytes are done before anybody could read a bar."""


class Console:
    """Where one command's words go.

    Args:
        json_output: print the result as one JSON object and nothing else on standard output.
        quiet: say nothing on the way, only the result and errors.
    """

    def __init__(self, *, json_output: bool = False, quiet: bool = False) -> None:
        self.json_output = json_output
        self.quiet = quiet

    @property
    def interactive(self) -> bool:
        """Whether a person is watching standard error, on a terminal that can redraw a line."""
        dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
        return sys.stderr.isatty() and not dumb and not self.quiet

    def note(self, text: str) -> None:
        """One line about what is going on."""
        if not self.quiet:
            print(_harmless(text), file=sys.stderr, flush=True)

    def heading(self, text: str) -> None:
        """The name of the step that begins now."""
        if self.interactive:
            from rich.console import Console as Rich
            from rich.text import Text

            Rich(stderr=True).print(Text(_harmless(text), style="bold"))
        else:
            self.note(text)

    def result(self, data: Mapping[str, Any], text: str) -> None:
        """What the command was asked for: ``data`` for a machine or ``text`` for a person."""
        print(as_json(data, indent=2) if self.json_output else text, flush=True)

    def error(self, error: StarfreightError) -> None:
        """Renders an error, the only place that does so."""
        if self.json_output:
            print(as_json({"error": error.as_dict()}), flush=True)
        lines = [f"Error: {error.what}"]
        if error.where:
            lines.append(f"  where: {error.where}")
        if error.fix:
            lines.append(f"  next:  {error.fix}")
        print(_harmless("\n".join(lines)), file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def progress(self, what: str, *, total: float | None, unit: str = "") -> Iterator[Advance]:
        """A progress bar on a terminal, now and then a line in a log, nothing when quiet or tiny.

        Args:
            what: the step, as a word or two.
            total: how many units make it whole, ``None`` when that is not known.
            unit: ``"B"`` for bytes, otherwise the plural of what is counted.
        """
        if unit == "B" and total is not None and total < _AT_ONCE:
            yield lambda amount, what=None: None
        elif self.interactive:
            with _bar(what, total, unit) as advance:
                yield advance
        elif self.quiet:
            yield lambda amount, what=None: None
        else:
            yield _Lines(self.note, what, total, unit)


@contextlib.contextmanager
def _bar(what: str, total: float | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console as Rich
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    counts: list[ProgressColumn] = (
        [DownloadColumn(binary_units=False), TransferSpeedColumn()]
        if unit == "B"
        else [MofNCompleteColumn(), TextColumn(unit)]
    )
    with Progress(
        # What other programs print is shown as it is, square brackets included.
        TextColumn("{task.description}", markup=False), BarColumn(), *counts, TimeRemainingColumn(),
        console=Rich(stderr=True), transient=False,
    ) as progress:  # fmt: skip
        task = progress.add_task(_harmless(what), total=total)
        yield lambda amount, what=None: progress.update(
            task, advance=amount, description=None if what is None else _harmless(what)
        )


def printable(text: str) -> str:
    """A line of somebody else's, a space for each character that may steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def as_json(data: Mapping[str, Any], indent: int | None = None) -> str:
    """A JSON text that any stream takes."""
    return _as_utf8(json.dumps(data, indent=indent, ensure_ascii=False))


def _harmless(text: str) -> str:
    # Jobs, builds and servers have a part in what is said.
    return "\n".join(map(printable, _as_utf8(text).split("\n")))


def _as_utf8(text: str) -> str:
    # Bytes of a file name that are no UTF-8 are surrogates here. Python's escapes for them are JSON's, too.
    return text.encode(errors="backslashreplace").decode()


class _Lines:
    """Progress in a log: a line every ten seconds, none for what ends sooner."""

    def __init__(self, note: Callable[[str], None], what: str, total: float | None, unit: str) -> None:
        self._note, self._what, self._total, self._unit = note, what, total, unit
        self._done = 0.0
        self._next = time.monotonic() + _PLAIN_INTERVAL

    def __call__(self, amount: float, what: str | None = None) -> None:
        self._done += amount
        self._what = what or self._what
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PLAIN_INTERVAL
            whole = f" of {human_count(self._total, self._unit)}" if self._total else ""
            self._note(f"{self._what}: {human_count(self._done, self._unit)}{whole}")


def human_count(amount: float, unit: str) -> str:
    """``1234567, "B"`` as ``1.2 MB`` (decimal units); ``12, "steps"`` as ``12 steps``."""
    if unit != "B":
        return f"{amount:,.0f} {unit}".rstrip()
    for name in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {name}" if name == "B" else f"{amount:.1f} {name}"
        amount /= 1000
    return f"{amount:.1f} TB"


def time_in_words(seconds: float) -> str:
    """``42`` as ``42 s``, ``3700`` as ``1 h 1 min``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
