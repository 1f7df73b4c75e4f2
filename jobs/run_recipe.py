"""From a recipe to its finished runs: one for each variant, one after another."""

from __future__ import annotations

from pathlib import Path

from starfreight.console import Console
from starfreight.errors import RecipeError, ServiceError
from starfreight.jobs.backends.table import JobState, runner_for, runner_of
from starfreight.jobs.prepare.prepare_runs import prepare_runs
from starfreight.recipe import Recipe, RecipeFile, expand
from starfreight.run import RUN_FILE, Run


def train_recipe(
    file: RecipeFile, runs: Path, console: Console, *, detach: bool = False
) -> tuple[tuple[Path, Run], ...]:
    """Trains every variant that is not trained yet.

    Args:
        file: the recipe, which says where to run, and its folder.
        runs: the folder of all runs.
        console: shows progress.
        detach: start the job and leave it alone.

    Returns:
        the folder and the record of each run, in the order of the variants.

    Raises:
        StarfreightError: as :func:`prepare_runs` and :meth:`Runner.run`.
    """
    variants = list(expand(file.recipe))
    if detach:
        check_detach(file.recipe, len(variants))
    if not any(list(runs.glob(f"{each.name}-*/{RUN_FILE}")) for each in variants):
        # What would stop it later is known before the data is examined. A run that is there may be done.
        runner_for(file.recipe).check(file.recipe)
    done = []
    # All variants are prepared first, so that a bad one is known before any is trained.
    for folder in prepare_runs(variants, file.folder, runs, console, is_at_work):
        train_run(folder, console, detach=detach)
        done.append((folder, Run.load(folder)))
    return tuple(done)


def train_run(folder: Path, console: Console, *, detach: bool = False) -> None:
    """Trains a prepared run, goes on with it, or follows the job that it has already.

    Raises:
        StarfreightError: as :meth:`Runner.run`.
    """
    had = runner_of(folder)
    state = _state(folder)
    run = Run.load(folder)
    if run.is_done(folder):
        console.note(f"{folder} is trained already.")
        return
    at_work = had is not None and had.lives_on and state is not None and state.running
    runner = had if had is not None and at_work else runner_for(run.recipe)
    if not at_work:
        runner.check(run.recipe)
    if detach:
        runner.start(folder, console)
    else:
        runner.run(folder, console)


def is_at_work(folder: Path) -> bool:
    """Whether the run in ``folder`` has a job that can be followed.

    Raises:
        ServiceError: whoever runs it does not answer.
    """
    runner = runner_of(folder)
    return runner is not None and runner.lives_on and runner.state(folder).running


def check_detach(recipe: Recipe, variants: int) -> None:
    """Looks whether a recipe's job can be left alone.

    Raises:
        RecipeError: it is one of several that wait for one another, or it ends with this command.
    """
    if variants > 1:
        raise RecipeError(
            f"The recipe's sweep has {variants} variants, which this command trains one after another.",
            where="option --detach",
            fix="leave --detach out, or run the command under nohup, tmux or systemd-run",
        )
    if not runner_for(recipe).lives_on:
        raise RecipeError(
            f"A job that runs on {recipe.run.where!r} ends with the command that started it.",
            where="option --detach",
            fix="add --on docker, or run the command under nohup, tmux or systemd-run",
        )


def _state(folder: Path) -> JobState | None:
    """The state of the run's last job; one that has ended is brought home."""
    runner = runner_of(folder)
    try:
        return runner.state(folder) if runner else None
    except ServiceError:
        if Run.load(folder).is_done(folder):  # What is left of the job can be fetched later.
            return None
        raise
