"""``starfreight jobs``: train, and look at what was trained."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console

RUNS_OPTION = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder of all runs.",
)


@click.group()
def jobs() -> None:
    """Train: run jobs and look at them."""


@jobs.command("run")
@click.argument("recipe", type=click.Path(path_type=Path))
@RUNS_OPTION
@click.option(
    "--on", "where", type=click.Choice(["local"]), default=None, help="Where to run; the recipe's choice."
)
@with_console
def run(recipe: Path, runs: Path, where: str | None, console: Console) -> None:
    """Train the adapter that RECIPE describes, and nothing else.

    Every variant of a sweep is a run of its own. What is done is not done again; what was
    interrupted goes on from its last checkpoint.

    \b
        starfreight jobs run recipe.yaml
        starfreight package build runs/<id>
    """
    from jobs.train_recipe import train_recipe
    from starfreight.recipe import load_recipe

    done = train_recipe(load_recipe(recipe), runs, where, console)
    console.result(
        {"runs": [{"run": str(folder), "status": record.status} for folder, record in done]},
        "\n".join(
            f"The adapter lies in {folder}/adapter. Next: starfreight package build {folder}"
            for folder, _ in done
        ),
    )


@jobs.command("list")
@RUNS_OPTION
@with_console
def list_runs(runs: Path, console: Console) -> None:
    """List the runs with their status and their figures."""
    from starfreight.errors import InputError
    from starfreight.run import RUN_FILE, Run

    rows = []
    lines = []
    for path in sorted(runs.glob(f"*/{RUN_FILE}")):
        folder = path.parent
        try:
            record = Run.load(folder)
        except InputError as error:  # One bad record must not hide the others.
            console.note(f"{folder} is left out: {error.what}")
            continue
        outcome = record.outcome
        before = outcome.before.loss if outcome and outcome.before else None
        after = outcome.after.loss if outcome and outcome.after else None
        rows.append(
            {
                "run": str(folder),
                "status": record.status,
                "held_out_loss_before": before,
                "held_out_loss_after": after,
            }
        )
        figures = (
            f"held-out loss {before:.3f} -> {after:.3f}" if before is not None and after is not None else ""
        )
        lines.append(f"{record.id:40} {record.status:9} {figures}".rstrip())
    console.result({"runs": rows}, "\n".join(lines) or f"No runs in {runs}.")
