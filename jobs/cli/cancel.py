"""``starfreight jobs cancel``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import backend_of
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console


@click.command("cancel")
@click.argument("run")
@click.option(
    "--timeout", "patience", metavar="TIME", default="5m", show_default=True,
    help="Maximum wait for the checkpoint, e.g. 90s or 1h. The job is not killed after it.",
)  # fmt: skip
@location_options()
@with_console
def cancel_job(run: str, patience: str, where: str | None, location: Location, console: Console) -> None:
    """Stop the job of RUN, and wait for its checkpoint.

    `starfreight jobs resume RUN` continues from the checkpoint.

    \b
        starfreight jobs cancel runs/acme-coder-0123456789
        starfreight jobs cancel acme-coder-0123456789 --on kubernetes --timeout 30m
    """
    from starfreight.errors import RecipeError
    from starfreight.recipe.units import parse_duration

    try:
        seconds = parse_duration(patience)
    except ValueError as error:
        raise RecipeError(f"{error}.", where="option --timeout", fix="write 90s, 5m or 1h") from error
    report = backend_of(run, where, location).cancel(run, console, patience=seconds)
    console.result(report.data, report.text)
