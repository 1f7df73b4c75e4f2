"""The runs of a directory: their size, age and use, and the removal of one."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from starfreight.directories import discard, open_directory, refuse_link
from starfreight.directory_lock import LOCK_FILE, only_one
from starfreight.errors import InputError, StarfreightError
from starfreight.files import PARTIAL_PREFIX, disk_errors, read_json
from starfreight.jobs.backends.directory_status import known_time
from starfreight.jobs.kinds.interface import Job
from starfreight.jobs.kinds.table import all_kinds, load_job
from starfreight.jobs.prune.rules import RunFound
from starfreight.package import PACKAGE_FILE
from starfreight.package_evaluations import read_evaluations

_LARGEST_PACKAGE = 4 << 20
_LARGEST_RECORD = 16 << 20
_LINKS = ".jobs"
_OF_COMMANDS = (LOCK_FILE, "job.json", "job.log")
"""Files that commands change after the end of a run."""


def find_runs(
    runs: Path,
    packages: Mapping[str, tuple[str, ...]],
    state_of: Callable[[Job], tuple[str, bool]],
    left_out: Callable[[Path, str], None],
) -> Iterator[RunFound]:
    """Yields the runs of a directory.

    Args:
        runs: the directory of all runs.
        packages: packages by the id of the run they name.
        state_of: state of a job, and true if it is running.
        left_out: called with a directory that cannot be read, and the reason.
    """
    found = {path.parent for kind in all_kinds() for path in runs.glob(f"*/{kind.record_file}")}
    for directory in sorted(found):
        try:
            refuse_link(directory, below=runs)
            job = load_job(directory)
            if job.id != directory.name:
                raise InputError("The record names another run.", where=str(directory))
            state, running = state_of(job)
            size, changed = measure(directory)
        except (StarfreightError, OSError) as error:
            left_out(directory, error.what if isinstance(error, StarfreightError) else str(error))
            continue
        yield RunFound(
            id=job.id,
            recipe=job.id.rpartition("-")[0],
            state=state,
            at=_end_of(job) or changed,
            size=size,
            busy=running or is_locked(directory),
            packages=packages.get(job.id, ()),
            recorded=job.status,
        )


def packages_by_run(packages: Path) -> dict[str, tuple[str, ...]]:
    """Names of the packages in a directory by the ids of the run and the evaluations that each names."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(packages.glob(f"*/{PACKAGE_FILE}")):
        with contextlib.suppress(InputError, AttributeError, OSError):
            run = read_json(path, _LARGEST_PACKAGE, "package").get("run")
            if isinstance(run, str):
                found[run] = (*found.get(run, ()), path.parent.name)
        with contextlib.suppress(StarfreightError, OSError, ValueError):
            names = {each.evaluation.id for each in read_evaluations(path.parent).evaluations}
            for name in names:
                found[name] = (*found.get(name, ()), path.parent.name)
    return found


def measure(directory: Path) -> tuple[int, datetime.datetime]:
    """Bytes that a directory takes on the disk, and the time of the last change of a file in it."""
    size, last = 0, 0.0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):  # A job may be deleting its oldest checkpoint.
                found = (Path(parent) / name).lstat()
                size += found.st_blocks * 512
                last = last if name in _OF_COMMANDS else max(last, found.st_mtime)
    return size, datetime.datetime.fromtimestamp(last, datetime.UTC)


def _end_of(job: Job) -> datetime.datetime | None:
    """Time of the end in a job's record; ``None`` if it has none."""
    with contextlib.suppress(InputError, AttributeError, ValueError, TypeError):
        ended = read_json(job.directory / job.kind.record_file, _LARGEST_RECORD, "record").get("ended")
        if known_time(ended) is not None:
            return datetime.datetime.fromisoformat(ended)
    return None


def is_locked(directory: Path) -> bool:
    """True if another process writes in the directory."""
    try:
        handle = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def remove_run(runs: Path, name: str, recorded: str) -> None:
    """Removes a run, and the links of jobs to it. An interrupted removal leaves no part under the run's name.

    Args:
        runs: the directory of all runs.
        name: of the run.
        recorded: the status in its record when it was selected.

    Raises:
        InputError: it is a link, another process has begun to use it, or its job has gone on meanwhile.
        ServiceError: it cannot be removed.
    """
    directory = runs / name
    refuse_link(directory, below=runs)
    with disk_errors(directory), only_one(directory, "working", below=runs):
        # The removal of the runs before may have taken minutes.
        if load_job(directory).status != recorded:
            raise InputError("Its job has gone on meanwhile.", where=str(directory))
        away = Path(tempfile.mkdtemp(prefix=f"{PARTIAL_PREFIX}pruned-", dir=runs))
        directory.rename(away / name)
    with disk_errors(away), open_directory(runs) as all_runs:
        all_runs.delete(away.name)
    _remove_links(runs, name)


def remove_leftovers(runs: Path) -> None:
    """Removes what interrupted removals have left."""
    for path in runs.glob(f"{PARTIAL_PREFIX}pruned-*"):
        discard(path, below=runs)


def _remove_links(runs: Path, name: str) -> None:
    links = runs / _LINKS
    if not links.is_dir() or links.is_symlink():
        return
    for link in links.iterdir():
        with contextlib.suppress(OSError):
            if link.is_symlink() and link.readlink() == Path("..") / name:
                discard(link, below=runs)
