"""``starfreight runs``."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.console import Console, human_count, printable
from starfreight.options import with_console

if TYPE_CHECKING:
    from starfreight.jobs.backends.interface import Location
    from starfreight.jobs.overview.collect import Overview

_DEFAULT = Path("runs")
_PAUSE = 2.0
"""Seconds between two looks."""


@click.command()
@click.option(
    "--runs",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    multiple=True,
    help="Directory of runs (repeatable). [default: runs]",
)
@click.option(
    "--namespace", metavar="NAME", default=None, help="Namespace in the cluster. [default: the context's]"
)
@click.option(
    "--context", metavar="NAME", default=None, help="Context of the kubeconfig. [default: current context]"
)
@click.option("-w", "--watch", is_flag=True, help="Refresh the table until Ctrl-C.")
@with_console
def runs(
    runs: tuple[Path, ...], namespace: str | None, context: str | None, watch: bool, console: Console
) -> None:
    """Show all runs everywhere: processes, containers, and jobs in a cluster.

    A row has the state, the finished steps, the loss of the last step, the time left and the time since the
    start. Active runs come last. A cluster is asked if there is a kubeconfig. A place that does not answer is
    named, and the others are shown.

    For the results of the runs in one place, use starfreight jobs list.

    \b
        starfreight runs
        starfreight runs --watch
        starfreight runs --runs ./runs --runs /data/runs --json
    """
    from starfreight.jobs.backends.interface import Location
    from starfreight.jobs.backends.run_directories import check_runs
    from starfreight.jobs.overview.collect import collect

    for each in runs:
        check_runs(each)
    places, cluster = runs or (_DEFAULT,), Location(namespace=namespace, context=context)
    if watch:
        if console.json_output or not (sys.stdout.isatty() and console.interactive):
            raise click.UsageError("--watch requires a terminal, and neither --json nor --quiet.")
        _watch(places, cluster)
        return
    overview = collect(places, cluster, console)
    if not console.json_output:
        for line in _unreachable(overview):
            console.note(line)
    console.result(overview.as_dict(), _text(overview, places))


def _text(overview: Overview, places: Sequence[Path], width: int | None = None) -> str:
    from starfreight.jobs.overview.row import table

    if not overview.rows:
        return f"No runs in {', '.join(map(str, places))}. To start one: starfreight run RECIPE"
    return table(overview.rows, overview.now, width)


def _unreachable(overview: Overview) -> list[str]:
    return [f"{where} is not reachable: {printable(what)}" for where, what in overview.unreachable.items()]


def _watch(places: Sequence[Path], cluster: Location) -> None:
    from rich.console import Console as Rich
    from rich.live import Live
    from rich.text import Text

    from starfreight.jobs.overview.collect import collect

    rich = Rich()
    with (
        contextlib.suppress(KeyboardInterrupt),  # The only way to end it.
        Live(Text("Looking for runs"), console=rich, auto_refresh=False, vertical_overflow="crop") as live,
    ):
        while True:
            overview = collect(places, cluster, Console(quiet=True))
            header, *lines = _text(overview, places, rich.width).splitlines()
            notes = _unreachable(overview)
            room = max(1, rich.height - len(notes) - 3)
            hidden = len(lines) - room
            more = [f"... {human_count(hidden, 'earlier runs')}"] if hidden > 0 else []
            shown = [header, *more, *(lines[-room:]), *notes]
            live.update(Text("\n".join(shown), no_wrap=True, overflow="ellipsis"), refresh=True)
            time.sleep(_PAUSE)
