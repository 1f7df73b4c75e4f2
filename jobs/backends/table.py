"""The places by their names. Loading them takes a moment, so whoever needs none does not import this."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import RecipeError
from starfreight.jobs.backends.docker import DockerRunner
from starfreight.jobs.backends.interface import JobState, Runner
from starfreight.jobs.backends.local.backend import LocalRunner
from starfreight.jobs.protocol.record import JobRecord
from starfreight.recipe import Recipe

__all__ = ["RUNNERS", "JobState", "Runner", "runner_for", "runner_of"]

RUNNERS: dict[str, type[LocalRunner] | type[DockerRunner]] = {"local": LocalRunner, "docker": DockerRunner}
"""The places by the names that ``--on`` takes."""


def runner_for(recipe: Recipe) -> Runner:
    """The runner that a recipe names.

    Raises:
        RecipeError: it does not run jobs of this kind.
    """
    where = recipe.run.where
    if where not in RUNNERS:
        raise RecipeError(
            f"This command does not run jobs on {where!r}.",
            where="key run.where",
            fix=f"choose with --on: {', '.join(RUNNERS)}",
        )
    return RUNNERS[where]()


def runner_of(folder: Path) -> Runner | None:
    """The runner that had the last job of the run in ``folder``, if there was one."""
    record = JobRecord.find(folder)
    return RUNNERS[record.runner]() if record else None
