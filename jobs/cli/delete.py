"""``starfreight jobs delete``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import backend_of
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console


@click.command("delete")
@click.argument("job")
@location_options(default="kubernetes")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@with_console
def delete_job(job: str, where: str | None, location: Location, yes: bool, console: Console) -> None:
    """Delete JOB from a cluster. Its runs, checkpoints and packages are kept.

    The Job, JobSet or TrainJob is deleted with its pods, their logs, and the ConfigMap of its recipe. Running
    pods write a checkpoint first, and the recipe continues from it when it is submitted again.

    `jobs run --replace` deletes a job and submits it with corrected options. A run on this machine is its
    directory; delete the directory instead.

    \b
        starfreight jobs delete acme-0a1b2c3d4e --on kubernetes
    """
    from starfreight.errors import InputError

    found = backend_of(job, where, location).deletion(job, console)
    if not yes:
        console.note(f"This deletes {found.deleted}.\nKept: {found.kept}.")
        try:
            agreed = click.confirm("Delete?", err=True)
        except click.Abort:  # The end of the input: nobody answers.
            agreed = False
        if not agreed:
            raise InputError("Nothing is deleted.", where=job, fix="to delete it without a question: --yes")
    report = found.carry_out()
    console.result(report.data, report.text)
