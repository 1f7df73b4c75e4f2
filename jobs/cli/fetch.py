"""``starfreight jobs fetch``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.jobs.cli.cluster import CONTEXT_OPTION, Place
from starfreight.jobs.cli.options import RUNS_OPTION
from starfreight.options import with_console


@click.command("fetch")
@click.argument("job")
@RUNS_OPTION
@click.option(
    "--on",
    "where",
    type=click.Choice(["kubernetes"]),
    default="kubernetes",
    show_default=True,
    help="Where the run is.",
)
@click.option("--namespace", metavar="NAME", default=None, help="The cluster's namespace.")
@CONTEXT_OPTION
@with_console
def fetch_run(
    job: str, runs: Path, where: str, namespace: str | None, context: str | None, console: Console
) -> None:
    """Bring the run of JOB home from the cluster: its record, adapter, figures and report.

    Checkpoints and token blocks stay there. One variant of a sweep is NAME-3.

    \b
        starfreight jobs fetch acme-0a1b2c3d4e --on kubernetes
        starfreight package build runs/<id> --base ./starcoder2-3b
    """
    from starfreight.jobs.backends.kubernetes.commands import fetch_run as fetch

    fetch(Place(namespace, context).connect(console), job, runs, console)
