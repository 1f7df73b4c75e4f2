"""``starfreight jobs``: runs, follows, stops and resumes jobs, and compares their results."""

from __future__ import annotations

import click

from starfreight.jobs.cli.cancel import cancel_job
from starfreight.jobs.cli.compare import compare_models
from starfreight.jobs.cli.delete import delete_job
from starfreight.jobs.cli.fetch import fetch_run
from starfreight.jobs.cli.list import list_runs
from starfreight.jobs.cli.metrics import show_metrics
from starfreight.jobs.cli.prune import prune_runs
from starfreight.jobs.cli.render import render_job
from starfreight.jobs.cli.run import run_recipe
from starfreight.jobs.cli.status import show_logs, show_status


@click.group()
def jobs() -> None:
    """Run, follow, stop and resume training and evaluation jobs, and compare their results."""


for _command in (
    run_recipe,
    list_runs,
    show_status,
    show_logs,
    cancel_job,
    delete_job,
    prune_runs,
    fetch_run,
    compare_models,
    show_metrics,
    render_job,
):
    jobs.add_command(_command)
