"""The command line in this process, with its output."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from starfreight.cli import main


@dataclass(frozen=True)
class CommandResult:
    """Exit code and output of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Both outputs."""
        return self.stdout + self.stderr


def run_command(*arguments: str | Path) -> CommandResult:
    """Runs ``starfreight`` with arguments."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as stdout,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
    ):
        code = main([str(each) for each in arguments])
    return CommandResult(code, stdout.getvalue(), stderr.getvalue())
