"""Endings of jobs: exit codes in words, and as the error that a command ends with.

The same on every backend. Words complete the sentence "The job ...". The codes are documented in
``docs/exit-codes.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.errors import (
    GateError,
    GpuFault,
    InputError,
    JobFailed,
    JobStopped,
    ServiceError,
    StarfreightError,
)

KILLED = 137
"""128 and the number of SIGKILL."""
STOPPED_AT_ONCE = 143
"""128 and the number of SIGTERM, which came before the job could handle it."""
NOT_STARTED = (126, 127)
"""Codes of an entry point whose program is missing or cannot be run."""

AGAIN = "run the same command again: it resumes from the last checkpoint, if one was written"

_WORDS = {
    0: "finished",
    1: "failed (exit code 1)",
    2: "could not use its recipe or an input (exit code 2)",
    3: "was refused by a gate (exit code 3)",
    4: "failed because of an outside service (exit code 4)",
    GpuFault.exit_code: "failed because of a GPU (exit code 71)",
    75: "stopped on request (exit code 75)",
    126: "could not run its program (exit code 126)",
    127: "could not find its program (exit code 127)",
    130: "was interrupted (exit code 130)",
    KILLED: "was killed (exit code 137, signal 9)",
    STOPPED_AT_ONCE: "stopped on request before it could write a checkpoint (exit code 143)",
}
_OUT_OF_MEMORY = "was killed by the kernel"
_CLASSES: dict[int, type[StarfreightError]] = {
    2: InputError,
    3: GateError,
    4: ServiceError,
    GpuFault.exit_code: GpuFault,
    75: JobStopped,
    STOPPED_AT_ONCE: JobStopped,
}


def describe(exit_code: int) -> str:
    """Completes the sentence "The job ..." for an exit code; 128 and more is a signal's number and 128."""
    known = _WORDS.get(exit_code)
    if known is not None:
        return known
    if 128 < exit_code < 193:
        return f"was killed by signal {exit_code - 128} (exit code {exit_code})"
    return f"ended with exit code {exit_code}"


def out_of_memory(exit_code: int, limit: str | None) -> str:
    """The same for a job that was killed for want of memory; ``limit``, e.g. ``32 GB``, if it had one."""
    memory = f"its {limit} of memory" if limit else "all memory"
    return f"{_OUT_OF_MEMORY} (exit code {exit_code}): it had used up {memory}"


def error_class(exit_code: int | None) -> type[StarfreightError]:
    """The error that an exit code stands for."""
    return _CLASSES.get(exit_code or 0, JobFailed)


@dataclass(frozen=True)
class Ending:
    """The end of a job.

    Attributes:
        exit_code: ``None`` if it is unknown.
        what: completes the sentence "The job ...".
        out_of_memory: true if it was killed for want of memory.
    """

    exit_code: int | None
    what: str
    out_of_memory: bool = False


def recorded_ending(exit_code: int | None, what: str) -> Ending:
    """The end of a job from its record."""
    return Ending(exit_code, what, what.startswith(_OUT_OF_MEMORY))


@dataclass(frozen=True)
class Advice:
    """Advice to a user whose job has ended.

    Attributes:
        where: its log, or its name in a cluster.
        again: resumes the job.
        log: shows its log.
        memory: gives it more memory, or lets it need less.
    """

    where: str
    again: str
    log: str
    memory: str


def error_of(ending: Ending, reported: StarfreightError | None, advice: Advice) -> StarfreightError | None:
    """The error to raise for a job that has ended; ``None`` if it finished.

    Args:
        ending: of the job.
        reported: by the job itself. It explains the exit code, but not a kill.
        advice: for the user.
    """
    if ending.out_of_memory:
        fix = f"{advice.memory}; then {advice.again}"
        return JobFailed(f"The job {ending.what}.", where=advice.where, fix=fix)
    if reported is not None:
        return reported
    if ending.exit_code == 0:
        return None
    if ending.exit_code in NOT_STARTED:
        return InputError(
            "The image lacks the program of the job: python.",
            where=advice.where,
            fix="name another image, or build one: starfreight images build",
        )
    kind = error_class(ending.exit_code)
    if kind is JobStopped or ending.exit_code == KILLED:
        return kind(f"The job {ending.what}.", where=advice.where, fix=advice.again)
    return kind(f"The job {ending.what}.", where=advice.where, fix=f"{advice.log}; then {advice.again}")
