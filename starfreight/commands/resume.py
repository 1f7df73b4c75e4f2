"""``starfreight jobs resume``: of the hall, because it adds an evaluation's figures to its package."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console


@click.command("resume")
@click.argument("run")
@click.option("--detach", is_flag=True, help="Start the container or pod without following it.")
@location_options()
@with_console
def resume(run: str, detach: bool, where: str | None, location: Location, console: Console) -> None:
    """Resume RUN from its last checkpoint, on the same backend and with the same options.

    An evaluation resumes after its last completion; its figures become a part of the package. A running
    container or pod is followed.

    \b
        starfreight jobs resume runs/acme-coder-0123456789
        starfreight jobs resume runs/acme-coder-q4_k_m-eval-89abcdef01
    """
    from starfreight.jobs.backends.table import backend_of

    report = backend_of(run, where, location).resume(run, console, detach=detach)
    for each in report.data.get("runs", ()):
        _attach(Path(each["run"]), console)
    console.result(report.data, report.text)


def _attach(directory: Path, console: Console) -> None:
    """Adds the figures of a finished evaluation to its package, if it has one on this machine."""
    from starfreight.commands.evaluation import attach_figures
    from starfreight.evaluation import EVALUATION_FILE, Evaluation
    from starfreight.jobs.evaluate.inputs import EvaluationInputs
    from starfreight.package import PACKAGE_FILE

    if not (directory / EVALUATION_FILE).exists() or Evaluation.load(directory).status != "done":
        return
    package = EvaluationInputs.find(directory).package
    if package is not None and (Path(package) / PACKAGE_FILE).exists():
        attach_figures(Path(package), directory, console)
