"""GPUs of a job on this machine: those that failed in its run are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starfreight.console import Console, printable
from starfreight.jobs.gpu.devices import Gpu, list_gpus
from starfreight.jobs.gpu.fault_record import sick_gpus

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def without_sick_gpus(
    environment: dict[str, str], run: Path, console: Console, list_gpus: Callable[[], list[Gpu]] = list_gpus
) -> dict[str, str]:
    """The environment of a job that hides the GPUs that failed in its run.

    Nothing is hidden if the user has chosen the GPUs, or if no other GPU is left.

    Args:
        environment: of the job.
        run: its directory.
        console: shows the GPUs that are left out.
        list_gpus: lists the GPUs of this machine.
    """
    sick = sick_gpus(run)
    if not sick or _VISIBLE in environment:
        return environment
    there = [gpu.uuid for gpu in list_gpus()]
    healthy = [uuid for uuid in there if uuid not in sick]
    if not healthy or len(healthy) == len(there):
        return environment
    for uuid in there:
        if uuid in sick:
            console.note(printable(f"Left out: {uuid}, which failed at {sick[uuid].at}: {sick[uuid].words}"))
    return environment | {_VISIBLE: ",".join(healthy)}
