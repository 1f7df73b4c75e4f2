"""``starfreight jobs run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.kubernetes.options import kubernetes_options
from starfreight.jobs.cli.cluster import CONTEXT_OPTION
from starfreight.jobs.cli.options import RUNS_OPTION
from starfreight.options import run_options, with_console


@click.command("run")
@click.argument("recipe", type=click.Path(path_type=Path))
@RUNS_OPTION
@run_options
@kubernetes_options
@CONTEXT_OPTION
@click.option("--detach", is_flag=True, help="Start the container or the pod and leave it alone.")
@with_console
def run_recipe(
    recipe: Path, runs: Path, context: str | None, detach: bool, console: Console, **options: Any
) -> None:
    """Train the adapter that RECIPE describes, and nothing else.

    Every variant of a sweep is a run of its own. What is done is not done again; what was
    interrupted goes on from its last checkpoint; a container that runs already is followed.

    \b
        starfreight jobs run recipe.yaml
        starfreight jobs run recipe.yaml --on docker --memory 32GB
        starfreight jobs run recipe.yaml --on kubernetes --namespace research --queue gpus
        starfreight package build runs/<id>
    """
    from starfreight.jobs.run_recipe import train_recipe
    from starfreight.recipe import load_recipe

    file = load_recipe(recipe).with_run_options(**options)
    if file.recipe.run.where == "kubernetes":
        from starfreight.jobs.backends.kubernetes import commands

        commands.run_in_cluster(file, context=context, detach=detach, console=console)
        return
    done = train_recipe(file, runs, console, detach=detach)
    tell(console, [folder for folder, _ in done])


def tell(console: Console, folders: list[Path]) -> None:
    """Says what lies in the folders of runs that have been trained, or what trains there."""
    from starfreight.jobs.report.status import look_at

    rows, lines = [], []
    for folder in folders:
        seen = look_at(folder)
        rows.append({"run": str(folder), "status": seen.status})
        if seen.status == "done":
            lines.append(f"The adapter lies in {folder}/adapter. Next: starfreight package build {folder}")
        else:
            lines.append(
                f"The job runs: {seen.state.what}. Next: starfreight jobs status {folder}, logs -f or cancel"
            )
    console.result({"runs": rows}, "\n".join(lines))
