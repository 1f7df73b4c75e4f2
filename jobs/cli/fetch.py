"""``starfreight jobs fetch``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import FetchedVariants, Location
from starfreight.jobs.backends.table import backend_of
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console
from starfreight.results.address import is_address, parse_address


@click.command("fetch")
@click.argument("job")
@location_options(default="kubernetes")
@click.option(
    "--packages",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Directory of all packages, for a job that packages; fails without a package. [default: packages]",
)
@click.option("--run-only", is_flag=True, help="Do not fetch the package.")
@with_console
def fetch_run(
    job: str, where: str | None, location: Location, packages: Path | None, run_only: bool, console: Console
) -> None:
    """Copy the run of JOB from a cluster to this machine, and its package if it has one.

    The record, adapter, figures and report are copied to --runs. Checkpoints and token blocks stay in the
    cluster. JOB is the name of a Job, JobSet or TrainJob. Of a sweep, every variant that has ended is copied;
    NAME-3 is variant 3 alone.

    With run.kubernetes.results, JOB may also be an address: the recipe's, with the id of the run or the name
    of the job. Neither the cluster nor the job is then needed.

    \b
        starfreight jobs fetch acme-0a1b2c3d4e --on kubernetes
        starfreight jobs fetch acme-0a1b2c3d4e --packages packages
        starfreight jobs fetch oci://registry.example.org/team/runs:acme-0a1b2c3d4e
        starfreight package build runs/<id> --base ./starcoder2-3b
    """
    if run_only and packages is not None:
        raise click.UsageError("--run-only and --packages exclude each other.")
    wanted = None if run_only else packages or Path("packages")
    found = _fetch(job, where, location, wanted, only_if_built=packages is None, console=console)
    rows, lines = [], []
    for name, fetched in found.fetched.items():
        rows.append({"job": name, "run": str(fetched.directory)})
        lines.append(f"Run written to {fetched.directory}.")
        if fetched.package is not None:
            rows[-1]["package"] = str(fetched.package)
            lines.append(f"Package written to {fetched.package}.")
            lines[-1] += f" Next: starfreight package verify {shlex.quote(str(fetched.package))}"
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


def _fetch(
    job: str,
    where: str | None,
    location: Location,
    packages: Path | None,
    *,
    only_if_built: bool,
    console: Console,
) -> FetchedVariants:
    if not is_address(job):
        backend = backend_of(job, where, location)
        return backend.fetch_variants(job, location.runs, console, packages, only_if_built=only_if_built)
    from starfreight.jobs.results.fetch import fetch_result

    address = parse_address(job)
    fetched = fetch_result(address, location.runs, console, packages, only_if_built=only_if_built)
    return FetchedVariants({str(address): fetched}, is_one=True)
