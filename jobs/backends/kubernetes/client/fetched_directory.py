"""Checks of a directory that was fetched from a cluster, before it replaces another one."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import GateError, InputError
from starfreight.jobs.kinds.table import kind_of, load_job
from starfreight.package import PACKAGE_FILE
from starfreight.run import INPUTS_FILE


def check_job(partial: Path, name: str) -> None:
    """Checks that the record belongs to the job, and that the results match the record.

    Raises:
        GateError: they do not.
    """
    job = load_job(partial)
    if job.id != name or (job.status == "done" and not job.kind.is_done(partial)):
        raise GateError(
            "The fetched run does not match its record.",
            where=job.kind.record_file,
            fix="check the run on its volume; if its adapter was changed, train it again",
        )


def check_package(partial: Path, name: str) -> None:
    """Checks that the directory is a package. The caller verifies its contents.

    Raises:
        GateError: it is none.
    """
    if not (partial / PACKAGE_FILE).is_file():
        raise GateError("The fetched directory is not a package.", where=name, fix="fetch it again")


def check_replaceable(final: Path) -> None:
    """Refuses to replace a run prepared on this machine, which has more files, or any other directory.

    Raises:
        InputError: it is one.
    """
    known = kind_of(final) is not None or (final / PACKAGE_FILE).is_file()
    if (final / INPUTS_FILE).exists() or (final.exists() and not known):
        raise InputError(
            "A directory of this machine has the same name.",
            where=str(final),
            fix="fetch into another directory with --runs or --packages",
        )
