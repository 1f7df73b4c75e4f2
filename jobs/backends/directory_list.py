"""The jobs in a directory of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from starfreight.console import Console, printable
from starfreight.directories import refuse_link
from starfreight.errors import StarfreightError
from starfreight.jobs.kinds.table import all_kinds

T = TypeVar("T")


def job_directories(runs: Path) -> list[Path]:
    """The directories below ``runs`` with the record of a job, in the order of their names."""
    return sorted({path.parent for kind in all_kinds() for path in runs.glob(f"*/{kind.record_file}")})


def from_each(directories: Iterable[Path], read: Callable[[Path], T], console: Console) -> list[T]:
    """The results of ``read`` for each directory; a bad directory is a note and hides no other.

    Args:
        directories: of jobs, each directly below its directory of runs.
        read: called with each.
        console: shows the notes.
    """
    results = []
    for directory in directories:
        try:
            refuse_link(directory, below=directory.parent)
            results.append(read(directory))
        except (StarfreightError, OSError) as error:
            what = error.what if isinstance(error, StarfreightError) else error.strerror or str(error)
            console.note(f"{directory} is left out: {printable(what)}")
    return results
