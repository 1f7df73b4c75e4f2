"""Options shared by several commands."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from typing import Any

import click

from starfreight.console import Console

_QUANTIZATION = re.compile(r"I?Q[0-9]\w*|B?F(?:16|32)", re.IGNORECASE)
"""Like the name of a quantization."""


def with_console(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``-q``/``--quiet``, and pass a :class:`Console` as ``console``."""

    @click.option("--json", "json_output", is_flag=True, help="Print the result as JSON.")
    @click.option("-q", "--quiet", is_flag=True, help="Print only the result and errors.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, json_output: bool, quiet: bool, **options: Any) -> Any:
        console = Console(json_output=json_output, quiet=quiet)
        return command(*arguments, console=console, **options)

    return wrapped


class QuantizationCommand(click.Command):
    """A command whose ``-q`` selected a quantization before it meant ``--quiet`` everywhere."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse the old meaning, which would otherwise be another argument."""
        for flag, word in itertools.pairwise([*args, ""]):
            name = word if flag == "-q" else flag[2:] if flag.startswith("-q") else ""
            if _QUANTIZATION.fullmatch(name):
                long = next(each for each in ("--quantize", "--quantization") if each in self._names())
                raise click.UsageError(f"-q means --quiet. To choose a quantization: {long} {name}", ctx)
        return super().parse_args(ctx, args)

    def _names(self) -> set[str]:
        return {name for parameter in self.params for name in parameter.opts}


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


def stream_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--stream-base/--no-stream-base``, passed as ``stream_base``: ``None`` if not given."""
    return click.option(
        "--stream-base/--no-stream-base",
        default=None,
        help="Read the base's weights from the hub or registry while pressing, unless they are on this "
        "machine: twice the transfer, and no disk. [default: if the disk has too little room for them]",
    )(command)


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
