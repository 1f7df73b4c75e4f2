"""Runs programs of any language in boxes: a compiler, or the program that it made.

boxes = ProgramBoxes(sandbox, limits)
ran = boxes.run(["/usr/bin/node", "main.js"], {"main.js": b"..."}, input="", seconds=10)
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starfreight.jobs.evaluate.sandbox.interface import BoxEndedError, Limits, Sandbox
from starfreight.jobs.evaluate.sandbox.program_source import PROGRAM_SOURCE

_MOST_OUTPUT = 256 << 10


@dataclass(frozen=True)
class Ran:
    """A program that has ended.

    Attributes:
        ended: ``exited``, or the limit that ended it: ``time``, ``memory``, ``output`` and others of a box.
        status: its exit status, negative for a signal; ``None`` if a limit ended it.
        output: its standard output; untrusted.
        errors: the end of its standard error; untrusted.
        files: files in its directory, if they were asked for; untrusted.
    """

    ended: str
    status: int | None
    output: str
    errors: str
    files: Mapping[str, bytes] = field(default_factory=dict)


class ProgramBoxes:
    """Runs programs, each in a fresh box. For one thread.

    The box's own process starts the program as its child and reports how it ended. A program cannot write to
    that process's pipe nor look into it; if it kills or stops it, the program has failed.

    Args:
        sandbox: makes the boxes.
        limits: of a box. One process is the box's own.
        visible: directories to show, read-only.
    """

    def __init__(self, sandbox: Sandbox, limits: Limits, visible: tuple[Path, ...] = ()) -> None:
        self._boxes = sandbox.boxes(PROGRAM_SOURCE, limits=limits, visible=visible)

    def run(
        self,
        command: Sequence[str],
        files: Mapping[str, bytes],
        *,
        input: str = "",
        seconds: float,
        keep: bool = False,
    ) -> Ran:
        """Runs a program in a directory of its own.

        Args:
            command: absolute path of the program, and arguments.
            files: contents by path relative to the directory, in which the program starts.
            input: its standard input.
            seconds: wall-clock time.
            keep: return the files that are there in the end.

        Raises:
            ServiceError: no box can be started.
        """
        request = {
            "command": list(command),
            "files": {name: base64.b64encode(data).decode() for name, data in files.items()},
            "input": input,
            "most": _MOST_OUTPUT,
            "keep": keep,
        }
        with self._boxes.start() as box:
            deadline = time.monotonic() + seconds
            try:
                box.send(json.dumps(request).encode(), deadline)
                return _ran(json.loads(box.receive(deadline)))
            except BoxEndedError as end:
                # The box's own process ends only after its answer.
                return Ran("killed" if end.reason == "exited" else end.reason, None, "", "")

    def close(self) -> None:
        """Ends all boxes."""
        self._boxes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ran(answer: Mapping[str, Any]) -> Ran:
    return Ran(
        answer["ended"],
        answer["status"],
        answer["output"],
        answer["errors"],
        {name: base64.b64decode(data) for name, data in answer["files"].items()},
    )
