"""The entry point inside a pod.

    python -P -m starfreight.jobs.backends.kubernetes.entrypoint RECIPE --folder DATA --runs RUNS --name JOB

In a cluster the data and the base model lie on volumes that only pods see, so the run is prepared where it is
trained. It reports events on standard output, as :mod:`starfreight.jobs.train` does. The steps that come
after training in the same pod find the run's folder by the link ``RUNS/.jobs/JOB``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from starfreight.console import Console
from starfreight.errors import JobStopped, RecipeError, ServiceError, StarfreightError
from starfreight.exit_codes import leave_with
from starfreight.files import PARTIAL_PREFIX
from starfreight.jobs.protocol import events

LINKS_FOLDER = ".jobs"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Where Kubernetes says which pod of an Indexed Job this is."""
NODE_VARIABLE = "PET_NODE_RANK"
"""Where Kubeflow Trainer and our JobSet say which of several nodes this is, as torchrun reads it."""

_PATIENCE = 3600
"""Seconds that the other nodes wait for the first one to prepare the run."""


class EventConsole(Console):
    """Tells in events what is said on the way."""

    @property
    def interactive(self) -> bool:
        """Nobody watches a pod's terminal."""
        return False

    def note(self, text: str) -> None:
        """An event with the line."""
        events.send("note", text=text)

    def heading(self, text: str) -> None:
        """An event with the step's name."""
        events.send("phase", text=text)


def main(arguments: list[str]) -> int:
    """Prepares the recipe's run and trains it; returns the documented exit code."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop_here)
        options = _options(arguments)
        if int(os.environ.get(NODE_VARIABLE, "0")) > 0:
            events.silence()
            run = _wait_for(options.runs / LINKS_FOLDER / _link_name(options))
        else:
            run = _prepare(options)
        from starfreight.jobs.train.__main__ import main as train

        return train([str(run)])
    except StarfreightError as error:
        events.send("error", **error.as_dict())
        return error.exit_code


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -P -m {__spec__.name}", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--folder", type=Path, help="where the recipe's relative paths start")
    parser.add_argument("--runs", type=Path, required=True, help="the folder of all runs")
    parser.add_argument("--name", required=True, help="the job's name")
    parser.add_argument("--variant", type=int, help="which variant of a sweep, from 0 on")
    options = parser.parse_args(arguments)
    if options.variant is None:
        options.variant = variant_of_pod()
    return options


def variant_of_pod() -> int | None:
    """Which variant of a sweep this pod trains, by its number; those of several nodes have one, too."""
    number = os.environ.get(INDEX_VARIABLE)
    return None if number is None or NODE_VARIABLE in os.environ else int(number)


def _link_name(options: argparse.Namespace) -> str:
    return str(options.name) if options.variant is None else f"{options.name}-{options.variant}"


def _prepare(options: argparse.Namespace) -> Path:
    from starfreight.jobs.prepare.prepare_runs import prepare_run
    from starfreight.recipe import expand, load_recipe

    file = load_recipe(options.recipe)
    variants = list(expand(file.recipe))
    number = options.variant or 0
    if not 0 <= number < len(variants):
        raise RecipeError(
            f"The sweep has {len(variants)} variants, and there is no number {number}.",
            where=str(options.recipe),
            fix="submit the recipe again: the job was made for another one",
        )
    folder = (options.folder or file.folder).resolve()
    # The pods of a sweep read the same data at the same time.
    part = "" if options.variant is None else f"-{options.variant}"
    run = prepare_run(variants[number], folder, options.runs, EventConsole(), part=part)
    _link(options.runs / LINKS_FOLDER / _link_name(options), run)
    events.send("run", id=run.name)
    return run


def _link(link: Path, run: Path) -> None:
    """Replaces the link in one step, so that who waits for it never finds half of it."""
    link.parent.mkdir(parents=True, exist_ok=True)
    made = link.with_name(f"{PARTIAL_PREFIX}{link.name}-{os.getpid()}")
    made.symlink_to(Path("..") / run.name)
    made.replace(link)


def _wait_for(link: Path) -> Path:
    end = time.monotonic() + _PATIENCE
    while not link.exists():
        if time.monotonic() > end:
            raise ServiceError(
                "The first node has not prepared the run in an hour.",
                where=str(link),
                fix="see its log; all nodes need the same volume for the runs",
            )
        time.sleep(1)
    return link.resolve()


def _stop_here(number: int, frame: FrameType | None) -> None:
    """Nothing is lost before training begins: what is prepared is found again, the rest is made again."""
    raise JobStopped("The job was asked to stop before it began to train.", fix="run the same command again")


if __name__ == "__main__":
    leave_with(lambda: main(sys.argv[1:]))
