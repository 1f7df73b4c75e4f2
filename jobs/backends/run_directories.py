"""Directories of runs on this machine, found by their names."""

from __future__ import annotations

from pathlib import Path

from starfreight.directories import refuse_link
from starfreight.errors import InputError
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.kinds.table import kind_of
from starfreight.jobs.protocol.record import JobRecord


def check_runs(runs: Path) -> None:
    """Checks that the directory of runs exists.

    Raises:
        InputError: it does not.
    """
    if not runs.is_dir():
        raise InputError(
            "The directory of runs does not exist.",
            where=str(runs),
            fix="name the directory of your runs: --runs DIR",
        )


def find_directory(name: str, location: Location) -> Path:
    """The directory of a job: the named one, or the one of that id among all runs.

    Raises:
        InputError: neither holds a job.
    """
    candidates = (Path(name), location.runs / name)
    for directory in candidates:
        if kind_of(directory) is not None:
            # A link that the user names is the user's; one found by its name among the runs may be anybody's.
            if directory != Path(name) and ".." not in Path(name).parts:
                refuse_link(directory, below=location.runs)
            return directory
    raise InputError(
        f"The run {name!r} does not exist.",
        where=f"{candidates[0]} and {candidates[1]}",
        fix=f"list the runs with starfreight jobs list --runs {location.runs}",
    )


def recorded_backend(name: str, location: Location) -> str | None:
    """The backend of the last job of a run, by the record in its directory; ``None`` without a record.

    Raises:
        InputError: the run does not exist on this machine.
    """
    record = JobRecord.find(find_directory(name, location))
    return record.runner if record else None
