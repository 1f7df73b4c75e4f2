"""What a training program tells whoever watches it: one JSON object a line, on standard output.

The same lines arrive from a process, from a container's log and from a pod's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, Literal

from starfreight import errors
from starfreight.errors import JobFailed, StarfreightError

Kind = Literal["phase", "note", "run", "read", "blocks", "plan", "step", "measured", "error"]
_MARK = '{"event": '
_NUMBER = (int, float)
_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "phase": {"text": str},
    "note": {"text": str},
    "run": {"id": str},
    "read": {"bytes": _NUMBER, "whole": _NUMBER},
    "blocks": {"blocks": int, "examples": int, "tokens": int, "fill": _NUMBER, "left_out": dict},
    "plan": {"steps": int, "done": int},
    "step": {"step": int, "loss": _NUMBER, "tokens_per_second": _NUMBER},
    "measured": {"when": str, "loss": _NUMBER, "exact_match": (*_NUMBER, type(None))},
    "error": {"what": str},
}
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
            ``blocks`` (as :func:`jobs.data.blocks.block_file.summary`), ``plan`` (steps, done), ``step``
            (step, loss, tokens_per_second), ``measured`` (when, loss, exact_match) or ``error`` (as
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
    if fields is None or not all(isinstance(event.get(name), kinds) for name, kinds in fields.items()):
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
