"""Check of a recipe's processes against the forward passes of a step, which they share evenly."""

from __future__ import annotations

from starfreight.console import human_count
from starfreight.errors import RecipeError
from starfreight.recipe import Training
from starfreight.recipe.run import RunOptions


def check_processes(training: Training, options: RunOptions, *, in_cluster: bool) -> None:
    """Finds a number of processes that the job would refuse when it starts, perhaps hours later in a cluster.

    The number of GPUs is not known here: without ``run.processes``, a machine uses as many of its GPUs as
    share a step evenly.

    Args:
        training: the recipe's training.
        options: the recipe's ``run``.
        in_cluster: true if the run uses ``kubernetes.nodes``.

    Raises:
        RecipeError: the processes of all nodes cannot share a step evenly.
    """
    nodes = options.kubernetes.nodes if in_cluster else 1
    count = (options.processes or 1) * nodes
    passes = training.gradient_accumulation
    if passes % count == 0:
        return
    keys = (["run.processes"] if options.processes else []) + (["run.kubernetes.nodes"] if nodes > 1 else [])
    raise RecipeError(
        f"{count} processes cannot share a step of {human_count(passes, 'forward passes')} evenly.",
        where="key training.gradient_accumulation",
        fix=f"make it a multiple of {count}, or lower {' or '.join(keys)}",
    )
