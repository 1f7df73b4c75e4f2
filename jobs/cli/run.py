"""``starfreight jobs run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import JobRequest, Location
from starfreight.jobs.backends.kubernetes.options import (
    check_replace,
    cluster_options,
    replace_option,
    until_option,
)
from starfreight.jobs.backends.table import open_backend
from starfreight.jobs.cli.location import CONTEXT_OPTION, RUNS_OPTION
from starfreight.options import run_options, with_console


@click.command("run")
@click.argument("recipe", type=click.Path(path_type=Path))
@RUNS_OPTION
@run_options
@cluster_options
@until_option
@replace_option
@CONTEXT_OPTION
@click.option("--detach", is_flag=True, help="Start the container or pod without following it.")
@with_console
def run_recipe(
    recipe: Path,
    runs: Path,
    context: str | None,
    replace: bool,
    detach: bool,
    console: Console,
    **options: Any,
) -> None:
    """Train the adapter of RECIPE, without packaging or publishing it.

    Each variant of a sweep is a separate run. A finished run is not repeated, an interrupted one resumes from
    its last checkpoint, and a running container or pod is followed. In a cluster, --until adds later steps.

    \b
        starfreight jobs run recipe.yaml
        starfreight jobs run recipe.yaml --on docker --memory 32GB
        starfreight jobs run recipe.yaml --on kubernetes --namespace research --queue gpus
        starfreight package build runs/<id>
    """
    from starfreight.jobs.kinds.table import find_kind
    from starfreight.recipe import load_recipe

    file = load_recipe(recipe).with_run_options(**options)
    check_replace(replace, file.recipe.run.where)
    backend = open_backend(file.recipe.run.where, Location(runs, context=context))
    request = JobRequest(find_kind("train"), file, detach, replace=replace)
    report = backend.submit(request, console).report
    console.result(report.data, report.text)
