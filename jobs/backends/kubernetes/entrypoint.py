r"""The entry point inside a pod.

    python -P -m starfreight.jobs.backends.kubernetes.entrypoint \
        train RECIPE --folder DATA --runs RUNS --name JOB

In a cluster, data and base model are on volumes that only pods mount, so the job is prepared where it runs.
This program reports events on standard output, as the job's own program does. Later steps of the pod find the
job's directory by the link ``RUNS/.jobs/JOB``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from starfreight.console import human_count
from starfreight.directories import discard, refuse_link
from starfreight.errors import InputError, JobStopped, RecipeError, ServiceError
from starfreight.exit_codes import leave_at_once
from starfreight.files import PARTIAL_PREFIX
from starfreight.jobs.backends.kubernetes.abilities import check_abilities
from starfreight.jobs.backends.kubernetes.memory_notes import MemoryNotes, StoreNotes, VolumeNotes
from starfreight.jobs.backends.kubernetes.memory_record import refuse_repeated_shortage, watch_memory
from starfreight.jobs.backends.kubernetes.run_log import keep_output
from starfreight.jobs.disk import disk_use
from starfreight.jobs.gpu.fault_record import refuse_sick_gpu
from starfreight.jobs.kinds.table import find_kind
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.event_console import EventConsole
from starfreight.unexpected import explain_to_job

if TYPE_CHECKING:
    from starfreight.recipe import Recipe

LINKS_FOLDER = ".jobs"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Variable with the number of the pod in an Indexed Job, set by Kubernetes."""
NODE_VARIABLE = "PET_NODE_RANK"
"""Variable of torchrun with the number of the node, set by Kubeflow Trainer and by our JobSet."""

_PATIENCE = 3600
"""Seconds for which the other nodes wait until the first one has prepared the run."""


def main(arguments: list[str]) -> int:
    """Prepares the recipe's job and runs it; returns the documented exit code."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop_here)
        options = _options(arguments)
        recipe, folder = _recipe(options)
        notes = _memory_notes(options, recipe)
        refuse_repeated_shortage(notes)
        with watch_memory(notes):
            return _run(options, recipe, folder)
    except Exception as error:
        explained = explain_to_job(error)
        events.send("error", **explained.as_dict())
        return explained.exit_code


def _run(options: argparse.Namespace, recipe: Recipe, folder: Path) -> int:
    if int(os.environ.get(NODE_VARIABLE, "0")) > 0:
        events.silence()
        run = _wait_for(options.runs / LINKS_FOLDER / _link_name(options))
        return find_kind(options.kind).main([str(run)])
    address = recipe.run.kubernetes.results
    if address is not None:
        return _run_with_results(options, recipe, folder, address)
    return _run_kind(options, _prepare(options, recipe, folder))


def _run_kind(options: argparse.Namespace, run: Path) -> int:
    with keep_output(run):
        disk = disk_use(run)
        if disk is not None:
            events.send("disk", total=disk.total, free=disk.free)
        refuse_sick_gpu(run)
        return find_kind(options.kind).main([str(run)])


def _run_with_results(options: argparse.Namespace, recipe: Recipe, folder: Path, address: str) -> int:
    """Takes the run of an earlier pod from the store of results, and sends it there."""
    from starfreight.jobs.results.restore import restore
    from starfreight.jobs.results.sender import Sender
    from starfreight.results.address import parse_place

    place, kind, job = parse_place(address), find_kind(options.kind), _link_name(options)
    restore(place, job, kind, options.runs, EventConsole())
    run = _prepare(options, recipe, folder)
    # Another job may have trained the same run: one that ends with another step.
    if restore(place, run.name, kind, options.runs, EventConsole()) is not None:
        run = _prepare(options, recipe, folder)
    sender = Sender(place, kind, run, job, recipe.run.kubernetes.results_at)
    sender.start()
    try:
        code = _run_kind(options, run)
    except BaseException:
        sender.finish(1)
        raise
    return sender.finish(code)


def _memory_notes(options: argparse.Namespace, recipe: Recipe) -> MemoryNotes:
    """On the volume; in the store of results if the volume is lost with its pod."""
    cluster = recipe.run.kubernetes
    if cluster.results is None or cluster.runs_claim is not None:
        return VolumeNotes(options.runs / LINKS_FOLDER / f"{_link_name(options)}{_node()}.memory.json")
    from starfreight.results.address import parse_place

    return StoreNotes(parse_place(cluster.results), _link_name(options))


def _node() -> str:
    """The end of names on the volume that each node of a run has its own of."""
    number = os.environ.get(NODE_VARIABLE)
    return "" if number is None else f"-node-{number}"


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -P -m {__spec__.name}", description=__doc__)
    parser.add_argument("kind", help="kind of job")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--folder", type=Path, help="directory that the recipe's relative paths start from")
    parser.add_argument("--runs", type=Path, required=True, help="directory of all runs")
    parser.add_argument("--name", required=True, help="name of the job")
    parser.add_argument("--variant", type=int, help="number of a sweep's variant, from 0")
    parser.add_argument("--ship", action="store_true", help="check the licenses of a later package first")
    options = parser.parse_args(arguments)
    check_abilities(options.kind)
    if options.variant is None:
        options.variant = variant_of_pod()
    return options


def variant_of_pod() -> int | None:
    """Number of the sweep's variant in this pod. The pods of a run on several nodes have numbers, too."""
    number = os.environ.get(INDEX_VARIABLE)
    return None if number is None or NODE_VARIABLE in os.environ else int(number)


def _link_name(options: argparse.Namespace) -> str:
    return str(options.name) if options.variant is None else f"{options.name}-{options.variant}"


def _recipe(options: argparse.Namespace) -> tuple[Recipe, Path]:
    """The recipe of this pod's variant, and the directory that its relative paths start from."""
    from starfreight.recipe import expand, load_recipe

    file = load_recipe(options.recipe)
    variants = list(expand(file.recipe))
    number = options.variant or 0
    if not 0 <= number < len(variants):
        raise RecipeError(
            f"The sweep has {human_count(len(variants), 'variants')}, but this pod runs number {number}.",
            where=str(options.recipe),
            fix="submit the recipe again: the job belongs to another version of it",
        )
    return variants[number], (options.folder or file.folder).resolve()


def _prepare(options: argparse.Namespace, recipe: Recipe, folder: Path) -> Path:
    # The pods of a sweep read the same data at the same time.
    part = "" if options.variant is None else f"-{options.variant}"
    kind = find_kind(options.kind)
    (run,) = kind.prepare([recipe], folder, options.runs, EventConsole(), part=part, ship=options.ship)
    _link(options.runs / LINKS_FOLDER / _link_name(options), run)
    events.send("run", id=run.name)
    return run


def _link(link: Path, run: Path) -> None:
    """Replaces the link atomically, because other nodes read it."""
    refuse_link(link.parent, below=link.parent.parent)
    link.parent.mkdir(parents=True, exist_ok=True)
    made = link.with_name(f"{PARTIAL_PREFIX}{link.name}-{os.getpid()}")
    discard(made, below=link.parent)
    made.symlink_to(Path("..") / run.name)
    made.replace(link)


def _wait_for(link: Path) -> Path:
    end = time.monotonic() + _PATIENCE
    while not link.exists():
        if time.monotonic() > end:
            raise ServiceError(
                "The first node has not prepared the run within an hour.",
                where=str(link),
                fix="read its log, and check that all nodes mount the same volume for runs",
            )
        time.sleep(1)
    run = link.resolve()
    if run.parent != link.parent.parent.resolve():
        raise InputError(
            "The link of the job leads out of the directory of runs.",
            where=f"{link} -> {run}",
            fix="remove the link, and run the job again",
        )
    return run


def _stop_here(number: int, frame: FrameType | None) -> None:
    """Stops at once: the next start reuses prepared files and repeats the rest."""
    raise JobStopped("The job was stopped on request before it began.", fix="run the same command again")


if __name__ == "__main__":
    leave_at_once(lambda: main(sys.argv[1:]))
