"""Shows the events of a job as progress, or as lines of a log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starfreight.console import Advance, Console, human_count
from starfreight.errors import StarfreightError
from starfreight.jobs.disk import DiskUse
from starfreight.jobs.protocol.events import error_from, receive


def watch(
    lines: Iterable[str], console: Console, in_step: Callable[[bool], None] = lambda running: None
) -> StarfreightError | None:
    """Shows a job's events until its output ends.

    Args:
        lines: the job's standard output.
        console: shows them.
        in_step: called with true when training begins its steps, and with false when they are done.

    Returns:
        the error that the job reported, if any.
    """
    failure = None
    with contextlib.ExitStack() as stack:
        bars = _Bars(console, stack)
        for line in lines:
            event = receive(line)
            if event is None:
                continue
            kind = event["event"]
            if kind == "phase":
                in_step(False)
                bars.close()
                console.heading(event["text"])
            elif kind == "note":
                console.note(event["text"])
            elif kind == "read":
                bars.read(event["bytes"], event["whole"])
            elif kind == "blocks":
                bars.close()
                console.note(_blocks(event))
            elif kind == "plan":
                title, unit = event.get("text", "Training"), event.get("unit", "steps")
                advance = bars.open(title, event["steps"], unit, event["done"])
                if "unit" not in event:
                    in_step(event["done"] < event["steps"])
                if event["done"]:
                    advance(0, f"Resuming after step {event['done']}")
            elif kind == "step" and bars.advance is not None:
                bars.advance(1, f"loss {event['loss']:.3f}, {event['tokens_per_second']:,.0f} tokens/s")
            elif kind == "advance" and bars.advance is not None:
                bars.advance(event["count"], event["text"])
            elif kind == "measured":
                bars.close()
                console.note(_measured(event["when"], event["loss"], event["exact_match"]))
            elif kind == "disk":
                use = DiskUse(event["total"], event["free"])
                if use.nearly_full:
                    console.note(f"Warning: the volume of the runs is {use.in_words()}.")
            elif kind == "error" and failure is None:
                # With several processes, the first one to fail knows the reason.
                failure = error_from(event)
    return failure


class _Bars:
    """The progress bars of a job, one at a time.

    Args:
        console: shows them.
        stack: holds the open bar.
    """

    def __init__(self, console: Console, stack: contextlib.ExitStack) -> None:
        self._console, self._stack = console, stack
        self.advance: Advance | None = None
        """Moves the open bar; ``None`` without one."""
        self._read = self._whole = 0
        self._passes_of: int | None = None
        """Bytes of a pass, if the open bar is that of many passes."""

    def open(self, title: str, total: float | None, unit: str, done: float = 0) -> Advance:
        """Opens a bar in place of the open one, with the units that are ``done`` already."""
        self.close()
        self.advance = self._stack.enter_context(
            self._console.progress(title, total=total, unit=unit, done=done)
        )
        return self.advance

    def close(self) -> None:
        """Closes the open bar, if any."""
        self._stack.close()
        self.advance = None
        self._read = self._whole = 0
        self._passes_of = None

    def read(self, size: int, whole: int) -> None:
        """Shows that ``size`` more bytes of a pass over ``whole`` bytes have been read.

        A pass may turn out to need more of the data, and other passes follow: each total has its own bar. Of
        little data there are several passes in one event; all of them have one bar.
        """
        if size > whole > 0 or self._passes_of == whole:
            self._read_passes(size, whole)
            return
        self._passes_of = None
        if self.advance is None or whole != self._whole or self._read + size > whole:
            continued = self._read if self._read < self._whole < whole else 0
            advance = self.open("Making examples", whole, "B")
            self._read, self._whole = continued, whole
            advance(continued)
        if self.advance is not None:
            size = min(size, whole - self._read)  # The rest belongs to the pass before.
            self._read += size
            self.advance(size)

    def _read_passes(self, size: int, whole: int) -> None:
        if self._passes_of != whole:
            read = self._read
            self.open("Making examples", None, "B")
            self._read, self._passes_of = read, whole
        self._read += size
        if self.advance is not None:
            self.advance(size, f"Making examples, pass {self._read // whole:,} over the data")


def _blocks(event: Mapping[str, Any]) -> str:
    left_out = "".join(f"; left out {count:,}: {reason}" for reason, count in event["left_out"].items())
    return (
        f"  {human_count(event['blocks'], 'blocks')} of {human_count(event['examples'], 'examples')}, "
        f"{event['tokens']:,} tokens, {event['fill']:.1%} full{left_out}"
    )


def _measured(when: str, loss: float, exact_match: float | None) -> str:
    exact = "" if exact_match is None else f", {exact_match:.0%} of the lines completed exactly"
    return f"  held out, {when} training: loss {loss:.3f} nats per token{exact}"


def in_words(event: Mapping[str, Any]) -> str:
    """An event as a line of a log."""
    kind = event["event"]
    if kind in ("phase", "note"):
        return str(event["text"])
    if kind == "run":
        return f"run {event['id']}"
    if kind == "read":
        return f"read {human_count(event['bytes'], 'B')} of {human_count(event['whole'], 'B')}"
    if kind == "blocks":
        return _blocks(event)
    if kind == "plan":
        total = human_count(event["steps"], event.get("unit", "steps"))
        return f"{event['text']}: {total}" if "text" in event else f"{total}, {event['done']:,} of them done"
    if kind == "step":
        return f"step {event['step']:,}: loss {event['loss']:.3f}, {event['tokens_per_second']:,.0f} tokens/s"
    if kind == "advance":
        return str(event["text"])
    if kind == "measured":
        return _measured(event["when"], event["loss"], event["exact_match"])
    if kind == "checkpoint":
        return f"checkpoint of step {event['step']:,} written"
    if kind == "disk":
        return f"volume of the runs: {DiskUse(event['total'], event['free']).in_words()}"
    return f"Error: {error_from(dict(event))}"
