"""``starfreight jobs status`` and ``starfreight jobs logs``."""

from __future__ import annotations

from typing import Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import backend_of
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console


@click.command("status")
@click.argument("run")
@location_options()
@with_console
def show_status(run: str, where: str | None, location: Location, console: Console) -> None:
    """Show the state and progress of RUN.

    RUN is the directory or id of a run, or the name of a job in a cluster.

    \b
        starfreight jobs status runs/<id>
        starfreight jobs status acme-0a1b2c3d4e --on kubernetes
    """
    report = backend_of(run, where, location).state(run, console)
    console.result(report.data, report.text)


@click.command("logs")
@click.argument("run")
@location_options()
@click.option("-f", "--follow", is_flag=True, help="Follow the output until the job ends.")
@click.option(
    "--events", "as_events", is_flag=True,
    help="Also record checkpoints, measurements and the end as Events of the job in the cluster.",
)  # fmt: skip
@with_console
def show_logs(
    run: str, where: str | None, location: Location, follow: bool, as_events: bool, console: Console
) -> None:
    """Print the output of RUN, including all interrupted and resumed jobs.

    With --json, each line is a JSON object: an event of the job, or {"text": ...} for library output. Lines
    of a job on several nodes begin with the node, those of a sweep with the variant.

    \b
        starfreight jobs logs -f runs/<id>
        starfreight jobs logs -f acme-0a1b2c3d4e --on kubernetes --events
    """
    if as_events and where != "kubernetes":
        raise click.UsageError("--events requires --on kubernetes.")
    from starfreight.console import as_json, printable
    from starfreight.jobs.protocol.events import receive

    lines = backend_of(run, where, location).lines(run, follow=follow, console=console)
    if as_events:
        from starfreight.jobs.backends.kubernetes.client.job_events import recorded

        lines = recorded(lines, run, location, console)
    said: dict[str, str] = {}
    for line in lines:
        event = receive(line.text)
        if console.json_output:
            print(as_json({**(event or {"text": line.text}), **line.fields}), flush=True)
        else:
            # Library output may hold terminal escapes.
            text = printable(_in_words(event) if event else line.text)
            # Progress comes twice a second, in the same words or without any.
            if event and event["event"] == "advance" and text in ("", said.get(line.prefix)):
                continue
            said[line.prefix] = text
            print(f"{line.prefix}{text}", flush=True)


def _in_words(event: dict[str, Any]) -> str:
    """An event as a line. A stop on request is not an error."""
    from starfreight.jobs.protocol.events import error_from
    from starfreight.jobs.protocol.progress import in_words

    if event["event"] == "error" and event.get("kind") == "JobStopped":
        text = str(error_from(event))
        return text if text.startswith("Stopped ") else f"Stopped: {text}"
    return in_words(event)
