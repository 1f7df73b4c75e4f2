"""Takes a job's run from its store into a pod whose volume is empty."""

from __future__ import annotations

from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.jobs.kinds.interface import JobKind
from starfreight.jobs.kinds.table import kind_of, load_job
from starfreight.results.address import Place
from starfreight.results.receive import receive
from starfreight.results.table import open_store

_NO_RUNS = ("packages",)
"""Names of other directories on a volume, whatever a result calls itself."""
_FIX = "use another address for this recipe's results, and run the job again"


def restore(place: Place, name: str, kind: JobKind, runs: Path, console: Console) -> Path | None:
    """Write the last result with a name to ``runs``, with its checkpoint.

    A run that the volume has already is kept if its job has begun.

    Args:
        place: the address of all results.
        name: of the job, or of the run.
        kind: of the job.
        runs: the directory of all runs.
        console: shows progress.

    Returns:
        the directory written; ``None`` if there is no result, or the volume has the run.

    Raises:
        GateError: the result is not a run of this kind, or a file does not match its digest.
        ServiceError: the store refuses or does not answer.
    """
    store = open_store(place, write=True)
    index = store.find(name)
    if index is None or _has_begun(runs / index.name, kind):
        return None
    if index.kind != "run" or index.name in _NO_RUNS:
        raise GateError(
            f"The result {name} is {'not a run' if index.kind == 'run' else f'a {index.kind}, not a run'}.",
            where=str(place),
            fix=_FIX,
        )

    def check(directory: Path) -> None:
        job = load_job(directory)
        if job.kind.name != kind.name or job.id != index.name:
            raise GateError(
                f"The result {name} does not match its record.",
                where=str(place),
                fix=_FIX,
            )

    console.note(f"Taking the run {index.name} from {place}")
    runs.mkdir(parents=True, exist_ok=True)
    return receive(store, index, runs, console, check, may_replace=lambda one: _is_only_prepared(one, kind))


def _is_only_prepared(directory: Path, kind: JobKind) -> bool:
    """True for a directory with nothing but prepared inputs; the record comes last."""
    found = kind_of(directory)
    return found is None or found.name == kind.name


def _has_begun(directory: Path, kind: JobKind) -> bool:
    return (directory / kind.record_file).exists() and load_job(directory).status != "prepared"
