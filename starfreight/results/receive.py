"""Takes a result from its store. Its directory gets its name after the digest of each file was checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.directories import discard, refuse_link
from starfreight.directory_lock import only_one
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import PARTIAL_PREFIX, disk_errors
from starfreight.package import PACKAGE_FILE
from starfreight.results.address import ResultAddress, parse_address
from starfreight.results.index import ResultIndex
from starfreight.results.interface import ResultsStore
from starfreight.results.table import open_store
from starfreight.run import INPUTS_FILE, RUN_FILE, Run


def find_result(store: ResultsStore, address: ResultAddress) -> ResultIndex:
    """The index of a result.

    Raises:
        InputError: it does not exist.
    """
    index = store.find(address.digest or address.name or "")
    if index is None:
        raise InputError(
            "The result does not exist, or cannot be accessed.",
            where=str(address),
            fix="check the id of the run or the name of the job, which sends its first result at its first "
            "checkpoint. Each variant of a sweep has its own: JOB-0, JOB-1, ...",
        )
    return index


def receive(
    store: ResultsStore,
    index: ResultIndex,
    parent: Path,
    console: Console,
    check: Callable[[Path], None],
    *,
    may_replace: Callable[[Path], bool] = lambda directory: False,
) -> Path:
    """Write the files of a result to ``parent/NAME``.

    Args:
        store: its store.
        index: the result; only the files to take.
        parent: the directory of all runs or packages.
        console: shows progress.
        check: raises an error if the directory, which has its name already, is not as expected.
        may_replace: true for an existing directory that may be replaced.

    Raises:
        InputError: a directory that may not be replaced has the name.
        GateError: a file does not match its digest.
        ServiceError: the store fails, or the disk is full.
    """
    final = parent / index.name
    refuse_link(final, below=parent)
    if final.exists() and not may_replace(final):
        raise InputError(
            "A directory of this machine has the same name.",
            where=str(final),
            fix="fetch into another directory with --runs or --packages",
        )
    with disk_errors(parent):
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=parent))
    try:
        free = shutil.disk_usage(partial).free
        if index.size > free:
            raise ServiceError(
                f"The disk has too little space for the result, which needs {human_count(index.size, 'B')}.",
                where=str(parent),
                fix="free some space, or choose a directory on a larger disk",
            )
        made = partial / index.name
        made.mkdir(mode=0o755)
        with console.progress("Fetching", total=index.size, unit="B") as advance:
            for file in index.files:
                store.get(index, file, made / file.path, advance)
        check(made)
        put_in_place(made, final)
    finally:
        discard(partial, below=parent)
    console.note(f"{final}: {human_count(len(index.files), 'files')}, {human_count(index.size, 'B')}")
    return final


def fetch_run(text: str, runs: Path, console: Console) -> Path:
    """The run with an address, written to ``runs/RUN-ID``. A run fetched before is replaced.

    Raises:
        InputError: the address is malformed, or it is not that of a run.
        StarfreightError: as :func:`receive`.
    """
    address = parse_address(text)
    store = open_store(address.place)
    index = find_result(store, address)
    if index.kind != "run":
        raise InputError(
            f"The address is that of a {index.kind}, not of a run.",
            where=str(address),
            fix="name the run, or fetch the package: starfreight jobs fetch",
        )
    with only_one(runs, "fetching"):
        return receive(store, index.without_resume(), runs, console, check_run, may_replace=is_fetched_run)


def check_run(directory: Path) -> None:
    """Check that a record belongs to its directory, and that the results match the record.

    Raises:
        GateError: they do not.
    """
    run = Run.load(directory)
    if run.id != directory.name or (run.status == "done" and not run.is_done(directory)):
        raise GateError(
            "The fetched run does not match its record.",
            where=RUN_FILE,
            fix="do not use it; run the job again",
        )


def check_package(directory: Path) -> None:
    """Check that a directory is a package. The caller verifies its contents.

    Raises:
        GateError: it is not.
    """
    if not (directory / PACKAGE_FILE).is_file():
        raise GateError("The fetched directory is not a package.", where=directory.name, fix="fetch it again")


def is_fetched_run(directory: Path) -> bool:
    """True for a run fetched before; one prepared on this machine has more files."""
    return (directory / RUN_FILE).is_file() and not (directory / INPUTS_FILE).exists()


def is_package(directory: Path) -> bool:
    """True for a package, which may be replaced by a newer one."""
    return (directory / PACKAGE_FILE).is_file()


def put_in_place(made: Path, final: Path) -> None:
    """Give a directory its final name. An existing one is deleted after the new one has it."""
    with disk_errors(final):
        if not final.exists():
            made.rename(final)
            return
        old = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=final.parent))
        final.rename(old / final.name)
        made.rename(final)
        discard(old, below=old.parent)
