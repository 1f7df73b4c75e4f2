"""``starfreight jobs fetch``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import backend_of
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console


@click.command("fetch")
@click.argument("job")
@location_options(default="kubernetes")
@click.option(
    "--packages",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Also fetch the package of the job, into this directory of all packages.",
)
@with_console
def fetch_run(
    job: str, where: str | None, location: Location, packages: Path | None, console: Console
) -> None:
    """Copy the run of JOB from a cluster to this machine.

    The record, adapter, figures and report are copied to --runs. Checkpoints and token blocks stay on the
    cluster's volume. JOB is the name of a Job, JobSet or TrainJob; NAME-3 is variant 3 of a sweep.

    \b
        starfreight jobs fetch acme-0a1b2c3d4e --on kubernetes
        starfreight jobs fetch acme-0a1b2c3d4e --packages packages
        starfreight package build runs/<id> --base ./starcoder2-3b
    """
    fetched = backend_of(job, where, location).fetch(job, location.runs, console, packages)
    data, text = {"run": str(fetched.directory)}, f"Run written to {fetched.directory}."
    if fetched.package is not None:
        data["package"] = str(fetched.package)
        text += f"\nPackage written to {fetched.package}. Next: starfreight package verify {fetched.package}"
    console.result(data, text)
