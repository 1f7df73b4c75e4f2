"""Shows the events of a job as progress, or as lines of a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from starfreight.console import Advance, Console, human_count
from starfreight.errors import StarfreightError
from starfreight.jobs.protocol.events import error_from, receive


def watch(lines: Iterable[str], console: Console) -> StarfreightError | None:
    """Shows a job's events until its output ends.

    Args:
        lines: the job's standard output.
        console: shows them.

    Returns:
        the error that the job reported, if any.
    """
    failure = None
    advance: Advance | None = None
    with contextlib.ExitStack() as bar:
        for line in lines:
            event = receive(line)
            if event is None:
                continue
            kind = event["event"]
            if kind == "phase":
                console.heading(event["text"])
            elif kind == "note":
                console.note(event["text"])
            elif kind == "read":
                if advance is None:
                    advance = bar.enter_context(
                        console.progress("Making examples", total=event["whole"], unit="B")
                    )
                advance(event["bytes"])
            elif kind == "blocks":
                bar.close()
                advance = None
                console.note(_blocks(event))
            elif kind == "plan":
                title, unit = event.get("text", "Training"), event.get("unit", "steps")
                advance = bar.enter_context(console.progress(title, total=event["steps"], unit=unit))
                if event["done"]:
                    advance(event["done"], f"Resuming after step {event['done']}")
            elif kind == "step" and advance is not None:
                advance(1, f"loss {event['loss']:.3f}, {event['tokens_per_second']:,.0f} tokens/s")
            elif kind == "advance" and advance is not None:
                advance(event["count"], event["text"])
            elif kind == "measured":
                bar.close()
                advance = None
                console.note(_measured(event["when"], event["loss"], event["exact_match"]))
            elif kind == "error" and failure is None:
                # With several processes, the first one to fail knows the reason.
                failure = error_from(event)
    return failure


def _blocks(event: Mapping[str, Any]) -> str:
    left_out = "".join(f"; left out {count:,}: {reason}" for reason, count in event["left_out"].items())
    return (
        f"  {event['blocks']:,} blocks of {event['examples']:,} examples, {event['tokens']:,} tokens, "
        f"{event['fill']:.1%} full{left_out}"
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
        return f"{event['steps']:,} steps, {event['done']:,} of them done"
    if kind == "step":
        return f"step {event['step']:,}: loss {event['loss']:.3f}, {event['tokens_per_second']:,.0f} tokens/s"
    if kind == "advance":
        return str(event["text"])
    if kind == "measured":
        return _measured(event["when"], event["loss"], event["exact_match"])
    return f"Error: {error_from(dict(event))}"
