"""``starfreight jobs status`` and ``starfreight jobs logs``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.jobs.cli.cluster import Place, place_options
from starfreight.jobs.cli.options import RUNS_OPTION, find_run
from starfreight.options import with_console


@click.command("status")
@click.argument("run")
@RUNS_OPTION
@place_options
@with_console
def show_status(run: str, runs: Path, place: Place | None, console: Console) -> None:
    """Say how far RUN is: a run's folder, its id among all runs, or a job's name in a cluster.

    \b
        starfreight jobs status runs/<id>
        starfreight jobs status acme-0a1b2c3d4e --on kubernetes
    """
    if place is not None:
        from starfreight.jobs.backends.kubernetes import commands

        commands.show_status(place.connect(console), run, console)
        return
    from starfreight.jobs.report.status import as_dict, as_text, look_at

    seen = look_at(find_run(run, runs))
    console.result(as_dict(seen), as_text(seen))


@click.command("logs")
@click.argument("run")
@RUNS_OPTION
@click.option("-f", "--follow", is_flag=True, help="Wait for more until the job ends.")
@place_options
@with_console
def show_logs(run: str, runs: Path, follow: bool, place: Place | None, console: Console) -> None:
    """Print what the jobs of RUN have written, from the first one on.

    With --json each event is one JSON object a line, and so is each line of a library, as {"text": ...}.
    """
    if place is not None:
        from starfreight.jobs.backends.kubernetes import commands

        commands.show_logs(place.connect(console, patiently=follow), run, console, follow=follow)
        return
    from starfreight.console import as_json, printable
    from starfreight.jobs.backends.table import runner_of
    from starfreight.jobs.protocol.events import receive
    from starfreight.jobs.protocol.progress import in_words

    folder = find_run(run, runs)
    runner = runner_of(folder)
    for line in runner.lines(folder, follow=follow) if runner else ():
        event = receive(line)
        if console.json_output:
            print(as_json(event or {"text": line}), flush=True)
        else:
            # What a library prints may try to steer the terminal.
            text = in_words(event) if event else line
            print(printable(text), flush=True)
