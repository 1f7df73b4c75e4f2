"""Held-out files: those that training did not see, for suites that cut places from them.

held_out = find_held_out(Path("runs/acme-coder-0123456789"), None, console)
for file in held_out.files:
    file.language, file.text
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from starfreight.console import Console
from starfreight.jobs.evaluate.held_out.directory_files import files_of_directory
from starfreight.jobs.evaluate.held_out.package_run import run_of_package
from starfreight.jobs.evaluate.held_out.run_files import files_of_run
from starfreight.jobs.evaluate.suites.interface import HeldOut, SkippedSuite
from starfreight.run import Run

__all__ = ["find_held_out", "run_of_package"]


def find_held_out(run: Path | None, directory: Path | None, console: Console) -> HeldOut:
    """The held-out files of a run, or the files of a directory.

    Args:
        run: the run's directory; ``None`` if it is unknown.
        directory: of the user, used instead of the run.
        console: shows progress.

    Raises:
        SkippedSuite: there are none on this machine.
        InputError: the directory or the run cannot be read, or most of the run's files have changed.
    """
    if directory is not None:
        found = files_of_directory(directory, console)
        if run is None:
            return found
        return dataclasses.replace(found, window=Run.load(run).recipe.training.sequence_length)
    if run is not None:
        return files_of_run(run, console)
    raise SkippedSuite("its run is not on this machine: name one with --run, or a directory with --held-out")
