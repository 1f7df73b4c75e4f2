"""``--on kubernetes`` for the commands that look at jobs: there, a job goes by its name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from starfreight.console import Console

if TYPE_CHECKING:
    from starfreight.jobs.backends.kubernetes.client.cluster import Cluster

CONTEXT_OPTION = click.option(
    "--context", metavar="NAME", default=None, help="The kubeconfig's context; its current one by default."
)


@dataclass(frozen=True)
class Place:
    """A namespace of a cluster, as the command line names it."""

    namespace: str | None
    context: str | None

    def connect(self, console: Console, *, patiently: bool = False) -> Cluster:
        """The cluster's API.

        Args:
            console: says so when the server does not answer.
            patiently: wait long for a server that does not answer, as whoever follows a job does.

        Raises:
            InputError: there is no kubeconfig that can be used.
        """
        from starfreight.jobs.backends.kubernetes.client.connect import LONG_PATIENCE, PATIENCE, connect

        patience = LONG_PATIENCE if patiently else PATIENCE
        return connect(console, context=self.context, namespace=self.namespace, patience=patience)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--on``, ``--namespace`` and ``--context``, and passes a :class:`Place` as ``place``.

    It is ``None`` where jobs of this machine are meant.
    """

    @click.option(
        "--on",
        "where",
        type=click.Choice(["kubernetes"]),
        default=None,
        help="Look in a cluster, by the job's name.",
    )
    @click.option("--namespace", metavar="NAME", default=None, help="The cluster's namespace.")
    @CONTEXT_OPTION
    @functools.wraps(command)
    def wrapped(
        *arguments: Any, where: str | None, namespace: str | None, context: str | None, **options: Any
    ) -> Any:
        if where is None and (namespace or context):
            raise click.UsageError("--namespace and --context need --on kubernetes.")
        place = None if where is None else Place(namespace, context)
        return command(*arguments, place=place, **options)

    return wrapped
