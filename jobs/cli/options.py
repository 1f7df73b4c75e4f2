"""Options and arguments that several of these commands have."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.errors import InputError

RUNS_OPTION = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder of all runs.",
)


def find_run(name: str, runs: Path) -> Path:
    """The folder of a run: what was named, or the one of that id among all runs.

    Raises:
        InputError: neither is a run.
    """
    from starfreight.run import RUN_FILE

    for folder in (Path(name), runs / name):
        if (folder / RUN_FILE).exists():
            return folder
    raise InputError(
        f"There is no run {name!r}.",
        where=f"looked for at {name} and {runs / name}",
        fix=f"starfreight jobs list --runs {runs} names those that there are",
    )
