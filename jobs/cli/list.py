"""``starfreight jobs list``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import open_backend
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console


@click.command("list")
@location_options(shown_default="this machine")
@with_console
def list_runs(where: str | None, location: Location, console: Console) -> None:
    """List the runs in a directory, or the jobs in a cluster.

    Runs are listed with their status, backend and figures. The jobs in a cluster, the newest last, include
    sweeps and jobs on several nodes (JobSets and TrainJobs).

    \b
        starfreight jobs list
        starfreight jobs list --on kubernetes --namespace research
    """
    report = open_backend(where or "local", location).list_jobs(console)
    console.result(report.data, report.text)
