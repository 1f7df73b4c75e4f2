"""Command output: progress for people, plain lines for logs, one JSON object for machines.

    console = Console(json_output=False)
    with console.progress("Reading", total=size, unit="B") as advance:
        advance(len(piece))
    console.result({"package": str(path)}, f"Package written to {path}.")

Results go to standard output and everything else to standard error, so a pipe receives results only.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from starfreight.errors import JobStopped, StarfreightError


class Advance(Protocol):
    """Callback to advance a progress bar."""

    def __call__(self, amount: float, what: str | None = None) -> None:
        """Advance by ``amount`` units; ``what``, if given, replaces the bar's text."""


_PLAIN_INTERVAL = 10.0
"""Seconds between progress lines when standard error is not a terminal."""

_BREAK = "\n"
_INDENTED = "\n    "

_PLAIN_LONGEST = 300.0
"""The same in steps that take hours."""

_TOO_SMALL = 1 << 20
"""Bytes below which no bar is shown: it would be gone before anyone could read it."""


def no_progress(amount: float, what: str | None = None) -> None:
    """An :class:`Advance` that shows nothing."""


class Console:
    """Output of one command.

    Args:
        json_output: print the result as one JSON object, alone on standard output.
        quiet: print only the result and errors.
    """

    def __init__(self, *, json_output: bool = False, quiet: bool = False) -> None:
        self.json_output = json_output
        self.quiet = quiet

    @property
    def interactive(self) -> bool:
        """True if standard error is a terminal able to redraw a line, and not silenced."""
        dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
        return sys.stderr.isatty() and not dumb and not self.quiet

    def note(self, text: str) -> None:
        """Print a status message."""
        if not self.quiet:
            print(harmless(text), file=sys.stderr, flush=True)

    def heading(self, text: str) -> None:
        """Announce the next step."""
        if self.interactive:
            from rich.console import Console as Rich
            from rich.text import Text

            Rich(stderr=True).print(Text(harmless(text), style="bold"))
        else:
            self.note(text)

    def result(self, data: Mapping[str, Any], text: str) -> None:
        """Print the result: ``data`` as JSON or ``text`` for people."""
        print(as_json(data, indent=2) if self.json_output else harmless(text), flush=True)

    def error(self, error: StarfreightError) -> None:
        """Render an error; errors are rendered nowhere else."""
        if self.json_output:
            print(as_json({"error": error.as_dict()}), flush=True)
        # An error may quote foreign text, whose lines must not look like the error's own.
        # A wanted stop is no error.
        word = "" if isinstance(error, JobStopped) else "Error: "
        lines = [f"{word}{error.what.replace(_BREAK, _INDENTED)}"]
        if error.where:
            lines.append(f"  where: {error.where.replace(_BREAK, ' ')}")
        if error.fix:
            lines.append(f"  next:  {error.fix.replace(_BREAK, _INDENTED)}")
        print(harmless("\n".join(lines)), file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def progress(
        self, what: str, *, total: float | None, unit: str = "", done: float = 0
    ) -> Iterator[Advance]:
        """Show progress: a bar on a terminal, occasional lines in a log, nothing if quiet or tiny.

        Args:
            what: the step, in a word or two.
            total: number of units, ``None`` if unknown.
            unit: ``"B"`` for bytes, otherwise a plural noun (``"steps"``).
            done: number of units done before, which do not count for the speed.
        """
        if unit == "B" and total is not None and total < _TOO_SMALL:
            yield no_progress
        elif self.interactive:
            with _bar(what, total, unit, done) as advance:
                yield advance
        elif self.quiet:
            yield no_progress
        else:
            yield _PlainProgress(self.note, what, total, unit, done)


@contextlib.contextmanager
def _bar(what: str, total: float | None, unit: str, done: float) -> Iterator[Advance]:
    from rich.console import Console as Rich
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TransferSpeedColumn,
    )
    from rich.table import Column
    from rich.text import Text

    class Left(ProgressColumn):
        """The time left, as everywhere; rich's own column has seconds in hours."""

        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            left = task.time_remaining
            return Text("" if left is None or task.finished else f"{time_in_words(left)} left", "cyan")

    counts: list[ProgressColumn] = [TextColumn("{task.fields[amount]}", markup=False)]
    if unit == "B":
        counts.append(TransferSpeedColumn())
    with Progress(
        # Show other programs' output verbatim, square brackets included.
        TextColumn("{task.description}", markup=False), BarColumn(), *counts,
        Left(Column(no_wrap=True)),  # A second line, of a narrow terminal, would be left behind.
        console=Rich(stderr=True), transient=False,
        # The time left needs two steps in this period, and a step may take minutes.
        speed_estimate_period=30 if unit == "B" else 3600,
    ) as progress:  # fmt: skip
        amount = _amount(done, total, unit)
        task = progress.add_task(harmless(what), total=total, completed=int(done), amount=amount)

        def advance(amount: float, what: str | None = None) -> None:
            nonlocal done
            done += amount
            text = harmless(what) if what else None
            progress.update(task, advance=amount, description=text, amount=_amount(done, total, unit))

        yield advance


def _amount(done: float, total: float | None, unit: str) -> str:
    """The amount done, with the total unless that is unknown or proved wrong."""
    if total is None or done > total:
        return human_count(done, unit)
    if unit == "B":
        return f"{human_count(done, unit)} of {human_count(total, unit)}"
    return f"{done:,.0f}/{human_count(total, unit)}"


def printable(text: str) -> str:
    """Replace controls and marks of direction with spaces, so that foreign text cannot steer a terminal."""
    return text if text.isprintable() else "".join(each if _shows(each) else " " for each in text)


def as_json(data: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON text that standard output can encode, with controls and marks of direction as escapes."""
    # Codes other than UTF-8 lack characters, and a stream's own escapes are not JSON.
    plain = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name != "utf-8"
    text = _as_utf8(json.dumps(data, indent=indent, ensure_ascii=plain))
    lines = text.split("\n")
    return "\n".join(line if line.isprintable() else _escaped(line) for line in lines)


def harmless(text: str) -> str:
    """Make text of several lines safe to print: it may quote recipes, records, jobs, builds and servers."""
    return "".join(each if each in "\n\t" or _shows(each) else " " for each in _as_utf8(text))


def _shows(character: str) -> bool:
    # Python counts all spaces but one as not printable; those of other scripts are harmless.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(line: str) -> str:
    return "".join(each if _shows(each) else json.dumps(each)[1:-1] for each in line)


def _as_utf8(text: str) -> str:
    # Bytes of a file name outside UTF-8 arrive as surrogates. Python escapes them the same way as JSON.
    return text.encode(errors="backslashreplace").decode()


class _PlainProgress:
    """Progress in a log: a line every ten seconds, none for shorter steps, fewer in long ones."""

    def __init__(
        self, note: Callable[[str], None], what: str, total: float | None, unit: str, done: float
    ) -> None:
        self._note, self._what, self._total, self._unit = note, what, total, unit
        self._done = done
        self._began = time.monotonic()
        self._next = self._began + _PLAIN_INTERVAL
        self._calls = 0
        self._since: tuple[float, float] = (self._began, done)
        """Time and amount after the first advance: it may include a slow start."""

    def __call__(self, amount: float, what: str | None = None) -> None:
        self._done += amount
        self._what = what or self._what
        now = time.monotonic()
        if amount:
            self._calls += 1
            if self._calls == 1:
                self._since = now, self._done
        if now >= self._next:
            self._next = now + min(_PLAIN_LONGEST, max(_PLAIN_INTERVAL, (now - self._began) / 20))
            self._note(f"{self._what}: {self._amount()}{self._left(now)}")

    def _amount(self) -> str:
        if not self._total or self._done > self._total:
            return human_count(self._done, self._unit)
        done = human_count(self._done, self._unit) if self._unit == "B" else f"{self._done:,.0f}"
        return f"{done} of {human_count(self._total, self._unit)}"

    def _left(self, now: float) -> str:
        """The time left at the mean speed since the first advance, from the third one on."""
        began, before = self._since
        if not self._total or self._calls < 3 or not before < self._done < self._total:
            return ""
        seconds = (now - began) * (self._total - self._done) / (self._done - before)
        return f", {time_in_words(seconds)} left"


def human_count(amount: float, unit: str) -> str:
    """Format an amount: ``1234567, "B"`` as ``1.2 MB`` (decimal units), ``12, "steps"`` as ``12 steps``.

    Args:
        amount: the number of units.
        unit: ``"B"`` for bytes; otherwise a plural noun, alone or after adjectives (``"held-out texts"``),
            whose singular follows a 1.
    """
    if unit != "B":
        count = f"{amount:,.0f}"
        return f"{count} {_singular(unit) if count == '1' else unit}".rstrip()
    for name in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {name}" if name == "B" else f"{amount:.1f} {name}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _singular(noun: str) -> str:
    for end, singular in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("xes", "x"), ("s", "")):
        if noun.endswith(end):
            return noun.removesuffix(end) + singular
    return noun


def time_in_words(seconds: float) -> str:
    """Format a duration: ``42`` as ``42 s``, ``75`` as ``1:15 min``, ``3700`` as ``1:02 h``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3570:
        return f"{whole // 60}:{whole % 60:02} min"
    minutes = round(whole / 60)
    return f"{minutes // 60:,}:{minutes % 60:02} h"


def age_in_words(seconds: float) -> str:
    """Format the time since an event: as :func:`time_in_words`, but whole days from the second on."""
    return f"{int(seconds // 86_400):,} d" if seconds >= 2 * 86_400 else time_in_words(seconds)
