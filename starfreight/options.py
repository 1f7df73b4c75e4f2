"""Options shared by several commands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from starfreight.console import Console


def with_console(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--quiet``, and pass a :class:`Console` as ``console``."""
    return _with_console(command, "-q", "--quiet")


def with_console_and_no_short_quiet(command: Callable[..., Any]) -> Callable[..., Any]:
    """Like :func:`with_console`, for a command with another meaning of ``-q``."""
    return _with_console(command, "--quiet")


def _with_console(command: Callable[..., Any], *quiet_names: str) -> Callable[..., Any]:
    @click.option("--json", "json_output", is_flag=True, help="Print the result as JSON.")
    @click.option(*quiet_names, is_flag=True, help="Print only the result and errors.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, json_output: bool, quiet: bool, **options: Any) -> Any:
        console = Console(json_output=json_output, quiet=quiet)
        return command(*arguments, console=console, **options)

    return wrapped


def little_data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--allow-little-data``, passed as ``allow_little_data``: ``None`` if not given."""

    @click.option(
        "--allow-little-data",
        is_flag=True,
        help="Train even if the filters leave little data, or none to hold out.",
    )
    @functools.wraps(command)
    def wrapped(*arguments: Any, allow_little_data: bool, **options: Any) -> Any:
        return command(*arguments, allow_little_data=allow_little_data or None, **options)

    return wrapped


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--on``, ``--image``, ``--gpus``, ``--memory``, ``--network``, ``--rm/--keep-container`` and
    ``--allow-little-data``.

    Values are passed under the names of the recipe's ``run`` keys, ``None`` if not given, ready for
    :meth:`starfreight.recipe.RecipeFile.with_run_options`.
    """

    @click.option(
        "--on",
        "where",
        type=click.Choice(["local", "docker", "kubernetes"]),
        default=None,
        help="Where to train. [default: run.where]",
    )
    @click.option(
        "--image",
        metavar="REF",
        default=None,
        help="Trainer image for containers and pods. [default: run.image, or the one built last]",
    )
    @click.option(
        "--gpus",
        metavar="GPUS",
        default=None,
        help="GPUs for a container or pod: all, a count (2) or indices (0,1). [default: run.gpus]",
    )
    @click.option(
        "--memory",
        metavar="AMOUNT",
        default=None,
        help="Memory limit of a container or pod, such as 32GB. [default: run.memory]",
    )
    @click.option(
        "--network",
        metavar="NAME",
        default=None,
        help="Docker network of a container. [default: run.network]",
    )
    @click.option(
        "--rm/--keep-container",
        "remove_container",
        default=None,
        help="Remove or keep a container after it ends. [default: run.keep_container]",
    )
    @little_data_option
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
