"""Follows BuildKit's ``--progress=plain`` output: a progress bar for people, and a complete log.

#7 [libraries 1/1] RUN --mount=...        a step's name, the first time its number appears
#7 12.34 Downloading numpy-2.4.6-...      its output, after the seconds since its start
#7 DONE 34.5s                             or CACHED, CANCELED, ERROR: ...
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import IO

from starfreight.console import Advance, printable

_STEP = re.compile(r"#(\d+) (?:\[(?:linux/\S+ )?(\S+) +\d+/\d+\] (\w+)|(.*))")
_OUTPUT = re.compile(r"#(\d+) (\d+\.\d+) (.*)")
_ENDED = re.compile(r"#(\d+) (DONE|CACHED|CANCELED|ERROR)")
_COUNTED = re.compile(r"^(?:RUN|COPY) ", re.MULTILINE)
_WIDTH = 60
_KEPT_LINES = 400
"""Enough for a step's last output and, after it, BuildKit's quotation of a long Dockerfile."""
_LONGEST_LINE = 4096


def count_steps(dockerfile: Path) -> int:
    """The largest number of steps in a build of this file."""
    return len(_COUNTED.findall(dockerfile.read_text()))


def _both_ends(line: str) -> str:
    return f"{line[:_LONGEST_LINE]} ... {line[-_LONGEST_LINE:]}"


class BuildProgress:
    """Follows a build line by line.

    Args:
        advance: moves the progress bar by a number of steps.
        log: every line is written to it.
    """

    def __init__(self, advance: Advance, log: IO[bytes]) -> None:
        self._advance, self._log = advance, log
        self._stages: dict[str, str | None] = {}
        """By a step's number: its stage, or ``None`` if the step is not in the Dockerfile."""
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def __call__(self, line: str) -> None:
        """Takes the next line."""
        self._log.write(line.encode() + b"\n")
        line = printable(line if len(line) <= 2 * _LONGEST_LINE else _both_ends(line))
        if line.strip():
            self.last_lines.append(line)
        if ended := _ENDED.match(line):
            self._advance(1 if self._stages.get(ended[1]) else 0)
        elif output := _OUTPUT.match(line):
            stage = self._stages.get(output[1])
            self._advance(0, f"{stage or 'Building'}: {output[3].strip()}"[:_WIDTH])
        elif (step := _STEP.match(line)) and step[1] not in self._stages:
            counted = step[2] if step[3] in ("RUN", "COPY") else None
            self._stages[step[1]] = counted
            self._advance(0, f"{step[2] or 'Building'}: {step[3] or step[4]}"[:_WIDTH])
