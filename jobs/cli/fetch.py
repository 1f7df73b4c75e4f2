"""``starfreight jobs fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    cluster's volume. JOB is the name of a Job, JobSet or TrainJob. Of a sweep, every variant that has ended
    is copied; NAME-3 is variant 3 alone.

    \b
        starfreight jobs fetch acme-0a1b2c3d4e --on kubernetes
        starfreight jobs fetch acme-0a1b2c3d4e --packages packages
        starfreight package build runs/<id> --base ./starcoder2-3b
    """
    found = backend_of(job, where, location).fetch_variants(job, location.runs, console, packages)
    rows, lines = [], []
    for name, fetched in found.fetched.items():
        rows.append({"job": name, "run": str(fetched.directory)})
        lines.append(f"Run written to {fetched.directory}.")
        if fetched.package is not None:
            rows[-1]["package"] = str(fetched.package)
            lines.append(f"Package written to {fetched.package}.")
            lines[-1] += f" Next: starfreight package verify {fetched.package}"
    if found.failed:
        lines.append(f"Variants that failed: {', '.join(found.failed)}.")
        lines[-1] += f" Next: starfreight jobs logs {found.failed[0]} --on {where}"
    if found.unfinished:
        lines.append(f"Variants that have not ended: {', '.join(found.unfinished)}.")
    data: dict[str, Any] = {"variants": rows, "failed": list(found.failed)}
    data["unfinished"] = list(found.unfinished)
    if found.is_one:
        data = {key: value for key, value in rows[0].items() if key != "job"}
    console.result(data, "\n".join(lines))
