"""``starfreight jobs metrics``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.cli.location import location_options
from starfreight.options import with_console


@click.command("metrics")
@click.argument("names", metavar="[RUN]...", nargs=-1)
@location_options(shown_default="this machine")
@click.option(
    "--file", "path", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path), default=None,
    help="Write them to a file, e.g. of node_exporter's textfile collector. A name with .prom gets the older "
    "format, which that collector reads.",
)  # fmt: skip
@click.option("--push", "gateway", metavar="URL", default=None, help="Send them to a Prometheus Pushgateway.")
@click.option("--every", metavar="TIME", default=None, help="Repeat, e.g. every 15s, until interrupted.")
@with_console
def show_metrics(
    names: tuple[str, ...],
    where: str | None,
    location: Location,
    path: Path | None,
    gateway: str | None,
    every: str | None,
    console: Console,
) -> None:
    """Print the figures of runs as OpenMetrics, for Prometheus.

    Without RUN, of all runs in --runs. Loss, steps, tokens, speed, memory, checkpoint and status have the
    labels `run` and `recipe`. Of a job in a cluster, the figures in its output, with the number of the
    `variant`.

    \b
        starfreight jobs metrics
        starfreight jobs metrics --file /var/lib/node_exporter/starfreight.prom --every 15s
        starfreight jobs metrics runs/<id> --push http://pushgateway.example:9091
        starfreight jobs metrics acme-0a1b2c3d4e --on kubernetes
    """
    from starfreight.errors import RecipeError, ServiceError
    from starfreight.files import write_bytes
    from starfreight.jobs.metrics.collect import collect
    from starfreight.jobs.metrics.exposition import Format, exposition
    from starfreight.jobs.metrics.push import check_address, push
    from starfreight.recipe.units import parse_duration

    try:
        pause = None if every is None else parse_duration(every)
    except ValueError as error:
        raise RecipeError(f"{error}.", where="option --every", fix="write 15s or 1m") from error
    if pause is not None and path is None and gateway is None:
        raise RecipeError("There is nowhere to write to.", where="option --every", fix="add --file or --push")
    if gateway is not None:
        check_address(gateway)
    while True:
        samples = collect(names, where, location, console)
        if path is not None:
            form: Format = "prometheus" if path.suffix == ".prom" else "openmetrics"
            write_bytes(path, exposition(samples, form).encode())
        try:
            groups = push(samples, gateway) if gateway is not None else 0
        except ServiceError as error:
            if pause is None:
                raise
            console.note(f"{error}")  # It may come back.
        if pause is None:
            break
        time.sleep(pause)
    text = exposition(samples, "openmetrics").rstrip("\n")
    if path is not None or gateway is not None:
        written = [f"Metrics written to {path}."] if path is not None else []
        sent = [f"{human_count(groups, 'groups')} sent to the Pushgateway."] if gateway else []
        text = "\n".join([*written, *sent])
    rows = [{"name": one.family.name, "labels": dict(one.labels), "value": one.value} for one in samples]
    console.result({"metrics": rows}, text)
