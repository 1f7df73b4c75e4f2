"""Events of a job's program: a JSON object a line, on standard output.

The same lines arrive from a process, a container's log and a pod's log.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Literal

from starfreight import errors
from starfreight.errors import JobFailed, StarfreightError

Kind = Literal[
    "phase", "note", "run", "read", "blocks", "plan", "step", "advance", "measured", "checkpoint", "disk",
    "error",
]  # fmt: skip
_MARK = '{"event": '
_LARGEST = 1 << 63
"""Bound of whole numbers. JSON has none, but larger ones do not fit a float."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_number(value: object) -> bool:
    # A loss may be NaN or infinite.
    return isinstance(value, float) or (type(value) is int and abs(value) < _LARGEST)


def _is_number_or_none(value: object) -> bool:
    return value is None or _is_number(value)


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


_FIELDS: dict[str, dict[str, Callable[[object], bool]]] = {
    "phase": {"text": _is_text},
    "note": {"text": _is_text},
    "run": {"id": _is_text},
    "read": {"bytes": _is_count, "whole": _is_count},
    "blocks": {
        "blocks": _is_count, "examples": _is_count, "tokens": _is_count, "fill": _is_number,
        "left_out": _are_counts,
    },
    "plan": {"steps": _is_count, "done": _is_count},
    "step": {"step": _is_count, "loss": _is_number, "tokens_per_second": _is_number},
    "advance": {"count": _is_count, "text": _is_text},
    "measured": {"when": _is_text, "loss": _is_number, "exact_match": _is_number_or_none},
    "checkpoint": {"step": _is_count},
    "disk": {"total": _is_count, "free": _is_count},
    "error": {"what": _is_text},
}  # fmt: skip
"""Required fields of each kind of event."""
_OPTIONAL: dict[str, dict[str, Callable[[object], bool]]] = {
    "plan": {"text": _is_text, "unit": _is_text, "aside": _is_flag}
}
"""Fields that an event may lack."""
_DEEPEST = 8
"""Most levels of a value: printing it again recurses as deep."""
_silent = False


def silence() -> None:
    """Sends errors only from now on, because another process of the same job sends the rest."""
    global _silent
    _silent = True


def send(kind: Kind, /, **fields: Any) -> None:
    """Writes one event.

    Args:
        kind: ``phase`` (text), ``note`` (text), ``run`` (id), ``read`` (bytes since the last one, whole),
            ``blocks`` (as :func:`starfreight.jobs.data.blocks.block_file.summary`), ``plan`` (steps, done;
            for another activity than training also text and unit, and aside for work besides the job's
            steps), ``step`` (step, loss, tokens_per_second),
            ``advance`` (count, text), ``measured`` (when, loss, exact_match), ``checkpoint`` (step),
            ``disk`` (total and free bytes of the volume of the runs) or ``error`` (as
            :meth:`StarfreightError.as_dict`).
        fields: its fields, as plain data.
    """
    if _silent and kind != "error":
        return
    try:
        sys.stdout.write(json.dumps({"event": kind, **fields}) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader is gone. The job stops as on request, with a checkpoint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os.kill(os.getpid(), signal.SIGTERM)


def receive(line: str) -> dict[str, Any] | None:
    """The event in a line, or ``None`` for other output, e.g. of a library."""
    if not line.startswith(_MARK):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    kind = event.get("event") if isinstance(event, dict) else None
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None or not all(name in event and fits(event[name]) for name, fits in fields.items()):
        return None
    optional = _OPTIONAL.get(event["event"], {})
    if not all(fits(event[name]) for name, fits in optional.items() if name in event):
        return None
    return event if _is_flat(event, _DEEPEST) else None


def _is_flat(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(each, levels - 1) for each in inside)


def error_from(event: dict[str, Any]) -> StarfreightError:
    """The error of an ``error`` event, of its own class."""
    kind = getattr(errors, str(event.get("kind")), JobFailed)
    if not (isinstance(kind, type) and issubclass(kind, StarfreightError)):
        kind = JobFailed
    where, fix = (None if event.get(name) is None else str(event[name]) for name in ("where", "next"))
    return kind(str(event.get("what")), where=where, fix=fix)
