"""``starfreight jobs prune``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import open_backend
from starfreight.jobs.cli.location import location_options
from starfreight.jobs.prune.rules import STATES
from starfreight.options import with_console


@click.command("prune")
@location_options(shown_default="this machine")
@click.option(
    "--older-than", metavar="TIME", default=None, help="Only runs that ended before, e.g. 30d or 12h."
)
@click.option(
    "--keep", metavar="COUNT", type=click.IntRange(min=0), default=None,
    help="Keep the newest COUNT runs of each recipe.",
)  # fmt: skip
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True,
    help="Only runs in this state (repeatable). [default: done and failed]",
)  # fmt: skip
@click.option(
    "--packages", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None,
    help="Directory of all packages: runs that they name are kept. [default: packages]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Also runs that are not finished, or that a package names.")
@click.option("--yes", is_flag=True, help="Remove the runs. Without it, they are only listed.")
@with_console
def prune_runs(
    where: str | None,
    location: Location,
    older_than: str | None,
    keep: int | None,
    states: tuple[str, ...],
    packages: Path | None,
    force: bool,
    yes: bool,
    console: Console,
) -> None:
    """Remove old runs, with their adapters and checkpoints.

    A run must match every rule given. Runs in use are never removed; runs that can be resumed, and those that
    a package names, only with --force. Packages are kept. In a cluster, a short-lived pod removes them from
    the volume of the runs.

    \b
        starfreight jobs prune --older-than 30d
        starfreight jobs prune --keep 3 --yes
        starfreight jobs prune --state failed --older-than 7d --on kubernetes --yes
    """
    from starfreight.errors import RecipeError
    from starfreight.jobs.prune.rules import PruneRules
    from starfreight.recipe.units import parse_duration

    try:
        seconds = None if older_than is None else parse_duration(older_than)
    except ValueError as error:
        raise RecipeError(f"{error}.", where="option --older-than", fix="write 12h or 30d") from error
    rules = PruneRules(seconds, keep, states, force)
    if yes and not rules.selects:
        raise RecipeError(
            "No rule selects the runs to remove.",
            where="option --yes",
            fix="add --older-than, --keep or --state; --keep 0 selects all finished runs",
        )
    report = open_backend(where or "local", location).prune(
        rules, packages or Path("packages"), console, delete=yes
    )
    console.result(report.data, report.text)
