"""Options that every command has."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from starfreight.console import Console


def with_console(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--json`` and ``--quiet``, and passes a :class:`Console` as ``console``."""
    return _with_console(command, "-q", "--quiet")


def with_console_and_no_short_quiet(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same without ``-q`` for ``--quiet``, for a command in which it means something else."""
    return _with_console(command, "--quiet")


def _with_console(command: Callable[..., Any], *quiet_names: str) -> Callable[..., Any]:
    @click.option("--json", "json_output", is_flag=True, help="Print the result as one JSON object.")
    @click.option(*quiet_names, is_flag=True, help="Say nothing on the way, only the result and errors.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, json_output: bool, quiet: bool, **options: Any) -> Any:
        console = Console(json_output=json_output, quiet=quiet)
        return command(*arguments, console=console, **options)

    return wrapped
