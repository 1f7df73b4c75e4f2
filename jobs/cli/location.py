"""Options that locate jobs: ``--runs``, ``--on``, ``--namespace`` and ``--context``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import BACKENDS

RUNS_OPTION = click.option(
    "--runs",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Directory of all runs.",
)
CONTEXT_OPTION = click.option(
    "--context", metavar="NAME", default=None, help="Context of the kubeconfig. [default: current context]"
)


def location_options(
    *, default: str | None = None, shown_default: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the options, and passes ``where`` and ``location`` (:class:`Location`) to the command.

    Args:
        default: the backend without ``--on``; ``None`` leaves the choice to the command.
        shown_default: description of the default in the help.
    """
    shown = shown_default or default or "backend of the run's last job"

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @RUNS_OPTION
        @click.option(
            "--on",
            "where",
            type=click.Choice(list(BACKENDS)),
            default=default,
            help=f"Where the job runs. [default: {shown}]",
        )
        @click.option(
            "--namespace",
            metavar="NAME",
            default=None,
            help="Namespace in the cluster. [default: the context's]",
        )
        @CONTEXT_OPTION
        @functools.wraps(command)
        def wrapped(
            *arguments: Any,
            runs: Path,
            where: str | None,
            namespace: str | None,
            context: str | None,
            **options: Any,
        ) -> Any:
            if (namespace or context) and where != "kubernetes":
                raise click.UsageError("--namespace and --context require --on kubernetes.")
            return command(*arguments, where=where, location=Location(runs, namespace, context), **options)

        return wrapped

    return decorate
