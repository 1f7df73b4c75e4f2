"""Takes finished runs and packages from their store to this machine. No cluster is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.directory_lock import only_one
from starfreight.errors import GateError, InputError
from starfreight.jobs.backends.interface import Fetched
from starfreight.jobs.kinds.table import kind_of, load_job
from starfreight.jobs.protocol.log import LOG_FILE
from starfreight.results.address import PACKAGE_SUFFIX, ResultAddress
from starfreight.results.index import ResultIndex
from starfreight.results.interface import ResultsStore
from starfreight.results.receive import check_package, find_result, is_package, receive
from starfreight.results.table import open_store
from starfreight.run import INPUTS_FILE

_LONGEST_LOG = 256 << 20
_LONGEST_LINE = 1 << 20


def fetch_result(
    address: ResultAddress,
    runs: Path,
    console: Console,
    packages: Path | None = None,
    *,
    only_if_built: bool = False,
) -> Fetched:
    """Copy a run to this machine, without its checkpoint, and its package if ``packages`` is given.

    Args:
        address: of the run, by its id, the name of its job, or a digest.
        runs: the directory of all runs.
        console: shows progress.
        packages: the directory of all packages.
        only_if_built: a missing package is fine.

    Raises:
        InputError: the result does not exist, or another directory has its name.
        GateError: a file does not match its digest, or the run its record.
        ServiceError: the store refuses or does not answer, or the disk is full.
    """
    store = open_store(address.place)
    index = find_result(store, address)
    if index.kind != "run":
        raise InputError(
            f"The address is that of a {index.kind}, not of a run.",
            where=str(address),
            fix=f"name the run, whose package is fetched with it: {address.place}:{index.name}",
        )
    with only_one(runs, "fetching"):
        directory = receive(
            store, index.without_resume(), runs, console, _check_job, may_replace=_may_replace
        )
    status = load_job(directory).status
    if status != "done":
        console.note(f"The run is not done ({status}). This is its last result.")
    if packages is None:
        return Fetched(directory)
    return Fetched(directory, _package(store, address, index, packages, console, only_if_built=only_if_built))


def past_log(address: ResultAddress) -> Iterator[str]:
    """The lines of the log in a result.

    Raises:
        InputError: there is no result, or no log in it.
    """
    store = open_store(address.place)
    index = find_result(store, address)
    log = next((file for file in index.files if file.path == LOG_FILE), None)
    if log is None or log.size > _LONGEST_LOG:
        raise InputError(
            f"The result has no {LOG_FILE}." if log is None else f"The {LOG_FILE} is too large to show.",
            where=str(address),
            fix=f"fetch the run: starfreight jobs fetch {address}",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / LOG_FILE
        store.get(index, log, path, _ignore)
        with path.open("rb") as stream:
            while line := stream.readline(_LONGEST_LINE):
                yield line.decode("utf-8", "replace").rstrip("\r\n")


def _package(
    store: ResultsStore,
    address: ResultAddress,
    run: ResultIndex,
    packages: Path,
    console: Console,
    *,
    only_if_built: bool,
) -> Path | None:
    # A job's package is the one with its own options; a run's id names the package sent last.
    index = store.find((address.name or run.job) + PACKAGE_SUFFIX)
    if index is None or index.kind != "package" or index.name != run.name:
        if only_if_built:
            return None
        raise InputError(
            "The job has sent no package yet.",
            where=f"{address.place}:{address.name or run.job}{PACKAGE_SUFFIX}",
            fix="wait for it, or leave out --packages; jobs package with run.kubernetes.until: package",
        )
    with only_one(packages, "fetching"):
        return receive(store, index, packages, console, check_package, may_replace=is_package)


def _check_job(directory: Path) -> None:
    job = load_job(directory)
    if job.id != directory.name or (job.status == "done" and not job.kind.is_done(directory)):
        raise GateError(
            "The fetched run does not match its record.",
            where=job.kind.record_file,
            fix="do not use it; run the job again",
        )


def _may_replace(directory: Path) -> bool:
    """True for a run fetched before; one prepared on this machine has more files."""
    return kind_of(directory) is not None and not (directory / INPUTS_FILE).exists()


def _ignore(amount: float, what: str | None = None) -> None:
    """Shows no progress."""
