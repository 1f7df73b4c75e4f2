"""The options of a job in a cluster, for every command that makes one: keys of ``run.kubernetes``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from starfreight.errors import RecipeError


def kubernetes_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--namespace``, ``--queue``, ``--node-selector``, ``--nodes`` and ``--until``.

    They are passed on under the names of the recipe's keys, and are ``None`` when they are not given, so that
    :meth:`starfreight.recipe.RecipeFile.with_run_options` takes them as they are.
    """

    @click.option("--namespace", metavar="NAME", default=None, help="The cluster's namespace.")
    @click.option("--queue", metavar="NAME", default=None, help="The Kueue LocalQueue to wait in.")
    @click.option(
        "--node-selector", "selectors", metavar="LABEL=VALUE", multiple=True,
        help="A label that the nodes must have; give it again for more.",
    )  # fmt: skip
    @click.option("--nodes", type=int, default=None, help="Pods that train one run together.")
    @click.option(
        "--until", type=click.Choice(["train", "package", "publish"]), default=None, help="The last step."
    )
    @functools.wraps(command)
    def wrapped(*arguments: Any, selectors: tuple[str, ...], **options: Any) -> Any:
        return command(*arguments, node_selector=parse_selectors(selectors) or None, **options)

    return wrapped


def parse_selectors(given: tuple[str, ...]) -> dict[str, str]:
    """``LABEL=VALUE`` each, as a mapping.

    Raises:
        RecipeError: there is no ``=`` in one.
    """
    found = {}
    for text in given:
        label, equals, value = text.partition("=")
        if not equals or not label:
            raise RecipeError(
                f"{text!r} is no label with its value.",
                where="option --node-selector",
                fix="write LABEL=VALUE, such as nvidia.com/gpu.product=NVIDIA-L4",
            )
        found[label] = value
    return found
