"""The record of a run's GPU faults, ``gpu_faults.json``. The next attempt avoids these GPUs."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from pathlib import Path
from typing import Annotated

from pydantic import Field

from starfreight.errors import GpuFault, InputError, StarfreightError
from starfreight.jobs.gpu.devices import failing_gpus, list_gpus
from starfreight.jobs.gpu.faults import GpuFaultWords
from starfreight.jobs.protocol.record import job_lock, now
from starfreight.records import Part, Record

FAULTS_FILE = "gpu_faults.json"
NODE_NAME = "STARFREIGHT_NODE"
"""Environment variable with the name of a pod's node, if the pod's template sets it."""

_NEWEST = 1
_LIMIT = 1 << 16
_MOST = 20
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FRESH = datetime.timedelta(hours=1)
"""Time for which a pod refuses the GPU of a fault. Later, an admin may have reset it."""
_FIX = (
    "resume the run: the next attempt avoids this GPU or node. To check it: nvidia-smi -q, and the kernel's "
    "log (dmesg | grep Xid)"
)

Uuid = Annotated[str, Field(pattern=r"^[A-Za-z0-9/_-]{1,128}$")]


class RecordedFault(Part):
    """A fault of a GPU during an attempt."""

    at: str
    node: Annotated[str, Field(max_length=253)]
    """Name of the node, or of the machine or container."""
    boot: str | None
    """The kernel's boot id: the same for all containers of a machine until it restarts."""
    gpus: tuple[Uuid, ...]
    """Empty if they are unknown."""
    words: Annotated[str, Field(max_length=500)]
    certain: bool


class FaultRecord(Record):
    """All faults of a run, the newest last."""

    version: int = _NEWEST
    faults: tuple[RecordedFault, ...] = ()


def read_faults(run: Path) -> tuple[RecordedFault, ...]:
    """The faults of a run. A record that others have spoilt counts as none."""
    with contextlib.suppress(InputError, OSError):
        path = run / FAULTS_FILE
        if path.exists():
            return FaultRecord.read(path, newest=_NEWEST, limit=_LIMIT, kind="record of GPU faults").faults
    return ()


def sick_gpus(run: Path) -> dict[str, RecordedFault]:
    """The GPUs of this machine that failed since its start, with their last fault.

    A suspected fault counts, too: another GPU tells whether it was one.
    """
    boot = boot_id()
    return {
        gpu: fault
        for fault in read_faults(run)
        if boot is not None and fault.boot == boot
        for gpu in fault.gpus
    }


def report_fault(run: Path, found: GpuFaultWords) -> GpuFault | None:
    """Records a fault, and makes the error for it.

    Args:
        run: directory of the run.
        found: the fault.

    Returns:
        ``None`` for a suspected fault that the run has met on another GPU or machine before: then the program
        is the cause.
    """
    fault = RecordedFault(
        at=now(),
        node=os.environ.get(NODE_NAME) or socket.gethostname(),
        boot=boot_id(),
        gpus=failing_gpus(),
        words=found.words,
        certain=found.certain,
    )
    # A full volume, or one without locks, must not hide the fault.
    with contextlib.suppress(StarfreightError, OSError), job_lock(run):
        before = read_faults(run)
        if not found.certain and any(_is_elsewhere(each, fault) for each in before if not each.certain):
            return None
        FaultRecord(faults=(*before, fault)[-_MOST:]).write(run / FAULTS_FILE)
    how = "A GPU or its driver failed" if found.certain else "A GPU may have failed, or a program on it"
    return GpuFault(f"{how}: {found.words}.", where=_place(fault), fix=_FIX)


def refuse_sick_gpu(run: Path) -> None:
    """Fail if this container has a GPU that certainly failed within the last hour.

    The pods of a Job are all alike, so the scheduler may choose the same node again.

    Raises:
        GpuFault: it has.
    """
    sick = {gpu: fault for gpu, fault in sick_gpus(run).items() if fault.certain and _age(fault.at) < _FRESH}
    for gpu in list_gpus() if sick else ():
        if gpu.uuid in sick:
            fault = sick[gpu.uuid]
            raise GpuFault(
                f"This pod has the GPU that failed at {fault.at}: {fault.words}.",
                where=_place(fault),
                fix=_FIX,
            )


def in_words(fault: RecordedFault) -> str:
    """A line for ``jobs status``."""
    return f"{_place(fault)}, {fault.at}: {fault.words}{'' if fault.certain else ' (suspected)'}"


def boot_id() -> str | None:
    """The kernel's boot id."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return None


def _place(fault: RecordedFault) -> str:
    gpus = ", ".join(fault.gpus) or "unknown GPU"
    return f"{gpus} on {fault.node}"


def _is_elsewhere(earlier: RecordedFault, fault: RecordedFault) -> bool:
    return bool(set(earlier.gpus).isdisjoint(fault.gpus) and earlier.gpus and fault.gpus)


def _age(at: str) -> datetime.timedelta:
    try:
        return datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(at)
    except (ValueError, TypeError):
        return datetime.timedelta.max
