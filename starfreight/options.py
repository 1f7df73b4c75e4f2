"""Options that several commands have."""

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


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--on``, ``--image``, ``--gpus``, ``--memory``, ``--network`` and ``--rm/--keep-container``.

    They are passed on under the names of the recipe's keys in ``run``, and are ``None`` when they are not
    given, so that :func:`starfreight.recipe.run.with_run_options` takes them as they are.
    """

    @click.option(
        "--on",
        "where",
        type=click.Choice(["local", "docker", "kubernetes"]),
        default=None,
        help="Where to train; the recipe's choice.",
    )
    @click.option("--image", metavar="REF", default=None, help="The trainer image of a container.")
    @click.option(
        "--gpus", metavar="GPUS", default=None, help="The GPUs of a container: all, a count, or which (0,1)."
    )
    @click.option("--memory", metavar="AMOUNT", default=None, help="The most memory of a container: 32GB.")
    @click.option(
        "--network", metavar="NAME", default=None, help="The network of a container; none by default."
    )
    @click.option(
        "--rm/--keep-container",
        "remove_container",
        default=None,
        help="Remove a container that has ended (the default), or keep it.",
    )
    @functools.wraps(command)
    def wrapped(*arguments: Any, gpus: str | None, remove_container: bool | None, **options: Any) -> Any:
        from starfreight.recipe.run import parse_gpus

        return command(
            *arguments,
            gpus=None if gpus is None else parse_gpus(gpus),
            keep_container=None if remove_container is None else not remove_container,
            **options,
        )

    return wrapped
