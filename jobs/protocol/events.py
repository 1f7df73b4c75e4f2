"""What a training program tells whoever watches it: one JSON object a line, on standard output.

The same lines arrive from a process, from a container's log and from a pod's.
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

Kind = Literal["phase", "note", "run", "read", "blocks", "plan", "step", "measured", "error"]
_MARK = '{"event": '
_LARGEST = 1 << 63
"""JSON's whole numbers have no end; those of a job do, and larger ones fit into no float."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int and abs(value) < _LARGEST


def _is_number(value: object) -> bool:
    # A loss may be NaN or without end.
    return isinstance(value, float) or _is_count(value)


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
    "measured": {"when": _is_text, "loss": _is_number, "exact_match": _is_number_or_none},
    "error": {"what": _is_text},
}  # fmt: skip
"""What each kind has to have for those who show it."""
_silent = False


def silence() -> None:
    """From here on only errors are told: another process of the same job tells the rest."""
    global _silent
    _silent = True


def send(kind: Kind, /, **fields: Any) -> None:
    """Writes one event.

    Args:
        kind: ``phase`` (text), ``note`` (text), ``run`` (id), ``read`` (bytes since the last one, whole),
            ``blocks`` (as :func:`starfreight.jobs.data.blocks.block_file.summary`), ``plan`` (steps, done),
            ``step`` (step, loss, tokens_per_second), ``measured`` (when, loss, exact_match) or ``error`` (as
            :meth:`StarfreightError.as_dict`).
        fields: what belongs to it, as plain data.
    """
    if _silent and kind != "error":
        return
    try:
        sys.stdout.write(json.dumps({"event": kind, **fields}) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever watched has died. The job stops as if it had been asked to, with a checkpoint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os.kill(os.getpid(), signal.SIGTERM)


def receive(line: str) -> dict[str, Any] | None:
    """The event in a line, or ``None`` when some library printed that line, or a job that is not ours."""
    if not line.startswith(_MARK):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    kind = event.get("event") if isinstance(event, dict) else None
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None or not all(fits(event.get(name)) for name, fits in fields.items()):
        return None
    found: dict[str, Any] = event
    return found


def error_from(event: dict[str, Any]) -> StarfreightError:
    """The error that an ``error`` event tells of, of the class that it had."""
    kind = getattr(errors, str(event.get("kind")), JobFailed)
    if not (isinstance(kind, type) and issubclass(kind, StarfreightError)):
        kind = JobFailed
    where, fix = (None if event.get(name) is None else str(event[name]) for name in ("where", "next"))
    return kind(str(event.get("what")), where=where, fix=fix)
