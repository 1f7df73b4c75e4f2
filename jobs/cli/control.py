"""``starfreight jobs cancel`` and ``starfreight jobs resume``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.jobs.cli.cluster import Place, place_options
from starfreight.jobs.cli.options import RUNS_OPTION, find_run
from starfreight.jobs.cli.run import tell
from starfreight.options import with_console


@click.command("cancel")
@click.argument("run")
@RUNS_OPTION
@click.option(
    "--timeout", "patience", metavar="TIME", default="5m", show_default=True,
    help="How long to wait for the checkpoint. The job is never killed.",
)  # fmt: skip
@place_options
@with_console
def cancel_job(run: str, runs: Path, patience: str, place: Place | None, console: Console) -> None:
    """Ask the job of RUN to stop, and wait for its checkpoint.

    Nothing is lost: `starfreight jobs resume RUN` goes on from there.
    """
    from starfreight.errors import InputError, RecipeError
    from starfreight.jobs.backends.table import runner_of
    from starfreight.recipe.units import parse_duration

    try:
        seconds = parse_duration(patience)
    except ValueError as error:
        raise RecipeError(f"{error}.", where="option --timeout", fix="write 90s, 5m or 1h") from error
    if place is not None:
        from starfreight.jobs.backends.kubernetes import commands

        commands.cancel_job(place.connect(console), run, patience=seconds, console=console)
        return
    folder = find_run(run, runs)
    runner = runner_of(folder)
    if runner is None:
        raise InputError("This run never had a job.", where=str(folder), fix="starfreight jobs resume")
    state = runner.cancel(folder, console, patience=seconds)
    console.result(
        {"run": str(folder), "state": state.what, "exit_code": state.exit_code},
        f"In {folder} {state.what}. To go on: starfreight jobs resume {folder}",
    )


@click.command("resume")
@click.argument("run")
@RUNS_OPTION
@click.option("--detach", is_flag=True, help="Start the container or the pod and leave it alone.")
@place_options
@with_console
def resume_job(run: str, runs: Path, detach: bool, place: Place | None, console: Console) -> None:
    """Go on with RUN from its last checkpoint, where it ran before and with the same options.

    A container that runs already is followed.
    """
    if place is not None:
        from starfreight.jobs.backends.kubernetes import commands

        cluster = place.connect(console, patiently=True)
        commands.resume_job(cluster, run, detach=detach, console=console)
        return
    from starfreight.jobs.run_recipe import check_detach, train_run
    from starfreight.run import Run

    folder = find_run(run, runs)
    if detach:
        check_detach(Run.load(folder).recipe, 1)
    train_run(folder, console, detach=detach)
    tell(console, [folder])
