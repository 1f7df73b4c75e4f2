"""``starfreight jobs list``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starfreight.console import Console
from starfreight.jobs.cli.cluster import Place, place_options
from starfreight.jobs.cli.options import RUNS_OPTION
from starfreight.options import with_console

if TYPE_CHECKING:
    from starfreight.run import Run


@click.command("list")
@RUNS_OPTION
@place_options
@with_console
def list_runs(runs: Path, place: Place | None, console: Console) -> None:
    """List the runs: their status, where their jobs run, and their figures; or the jobs of a cluster."""
    if place is not None:
        from starfreight.jobs.backends.kubernetes.client.list_jobs import list_jobs

        list_jobs(place.connect(console), console)
        return
    from starfreight.errors import InputError
    from starfreight.jobs.report.status import look_at
    from starfreight.run import RUN_FILE

    if not runs.is_dir():
        raise InputError(
            "There is no such folder of runs.",
            where=str(runs),
            fix="name the one that you trained in: --runs FOLDER",
        )
    rows: list[dict[str, Any]] = []
    lines = []
    for path in sorted(runs.glob(f"*/{RUN_FILE}")):
        folder = path.parent
        try:
            seen = look_at(folder)
        except InputError as error:  # One bad record must not hide the others.
            console.note(f"{folder} is left out: {error.what}")
            continue
        before, after = _losses(seen.run)
        rows.append(
            {
                "run": str(folder),
                "status": seen.status,
                "where": seen.where,
                "held_out_loss_before": before,
                "held_out_loss_after": after,
            }
        )
        figures = (
            f"held-out loss {before:.3f} -> {after:.3f}" if before is not None and after is not None else ""
        )
        lines.append(f"{seen.run.id:40} {seen.status:11} {seen.where or '-':7} {figures}".rstrip())
    console.result({"runs": rows}, "\n".join(lines) or f"No runs in {runs}.")


def _losses(run: Run) -> tuple[float | None, float | None]:
    outcome = run.outcome
    before = outcome.before.loss if outcome and outcome.before else None
    return before, outcome.after.loss if outcome and outcome.after else None
