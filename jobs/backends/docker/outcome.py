"""The end of a container as the error that the command ends with."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import InputError, JobFailed, JobStopped, StarfreightError
from starfreight.jobs.backends.docker.finished_container import KILLED, OUT_OF_MEMORY, STOPPED_AT_ONCE
from starfreight.jobs.protocol.log import LOG_FILE
from starfreight.jobs.protocol.record import JobEnd
from starfreight.recipe import Recipe

_NOT_RUN = (126, 127)
"""What an entry point ends with when the program that it should run cannot be run, or is not there."""

_AGAIN = "run the same command again to go on from the last checkpoint"


def error_of(
    end: JobEnd, failure: StarfreightError | None, folder: Path, recipe: Recipe
) -> StarfreightError | None:
    """What to raise for a job that has ended, or ``None`` when it has done its work.

    Args:
        end: of the job.
        failure: what the job itself told of.
        folder: the run's folder.
        recipe: says what the job was allowed to use.
    """
    log = str(folder / LOG_FILE)
    if end.what.startswith(OUT_OF_MEMORY):
        smaller = "lower training.batch_size, training.sequence_length or training.rank"
        more = "raise --memory" if recipe.run.memory else "free some memory"
        return JobFailed(f"The job {end.what}.", where=log, fix=f"{more}, or {smaller}; then {_AGAIN}")
    if failure is not None:
        return failure
    if end.exit_code == 0:
        return None
    if end.exit_code in (JobStopped.exit_code, STOPPED_AT_ONCE):
        return JobStopped(f"The job {end.what}.", fix="run the same command again to go on")
    if end.exit_code in _NOT_RUN:
        return InputError(
            "The image lacks the program that a job starts: python.",
            where=log,
            fix="name another image, or build one: starfreight images build trainer",
        )
    if end.exit_code == KILLED:
        return JobFailed(f"The job {end.what}.", where=log, fix=_AGAIN)
    return JobFailed(f"The job {end.what}.", where=log, fix=f"read the end of that log; {_AGAIN}")
