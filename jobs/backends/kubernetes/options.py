"""Options of jobs in a cluster: keys of ``run.kubernetes``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from starfreight.errors import RecipeError

until_option = click.option(
    "--until",
    type=click.Choice(["train", "package", "publish"]),
    default=None,
    help="Last step of a job in a cluster. [default: run.kubernetes.until]",
)


replace_option = click.option(
    "--replace",
    is_flag=True,
    help="Delete the recipe's job in the cluster, and submit it again with the current options. "
    "It resumes from its checkpoint.",
)


def check_replace(replace: bool, where: str) -> None:
    """Checks that ``--replace`` is used for a job in a cluster.

    Raises:
        RecipeError: the jobs run on this machine, where they take the options of each command.
    """
    if replace and where != "kubernetes":
        raise RecipeError(
            f"A job with --on {where} takes the current options when it starts again.",
            where="option --replace",
            fix="leave it out; stop a job that is running first: starfreight jobs cancel",
        )


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--namespace``, ``--queue``, ``--node-selector`` and ``--nodes``.

    Values are passed under the names of the recipe's keys, ``None`` if not given, ready for
    :meth:`starfreight.recipe.RecipeFile.with_run_options`.
    """

    @click.option(
        "--namespace",
        metavar="NAME",
        default=None,
        help="Namespace in the cluster. [default: run.kubernetes.namespace, or the context's]",
    )
    @click.option(
        "--queue",
        metavar="NAME",
        default=None,
        help="Kueue LocalQueue of the job. [default: run.kubernetes.queue]",
    )
    @click.option(
        "--node-selector",
        "selectors",
        metavar="LABEL=VALUE",
        multiple=True,
        help="Label of the nodes to run on (repeatable). [default: run.kubernetes.node_selector]",
    )
    @click.option(
        "--nodes", type=int, default=None,
        help="Number of nodes that train one run together. [default: run.kubernetes.nodes]",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(*arguments: Any, selectors: tuple[str, ...], **options: Any) -> Any:
        return command(*arguments, node_selector=parse_selectors(selectors) or None, **options)

    return wrapped


def parse_selectors(given: tuple[str, ...]) -> dict[str, str]:
    """Parses texts ``LABEL=VALUE`` into a mapping.

    Raises:
        RecipeError: a text is not of this form.
    """
    found = {}
    for text in given:
        label, equals, value = text.partition("=")
        if not equals or not label:
            raise RecipeError(
                f"{text!r} is not a label with a value.",
                where="option --node-selector",
                fix="write LABEL=VALUE, e.g. nvidia.com/gpu.product=NVIDIA-L4",
            )
        found[label] = value
    return found
