"""One process per GPU, started by torchrun's launcher, with one exit code for all of them.

Nodes find each other by torchrun's variables (``PET_NNODES``, ``PET_NODE_RANK``, ``PET_MASTER_ADDR``,
``PET_MASTER_PORT``), which Kubeflow Trainer sets. They share the volume with the runs.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starfreight.errors import InputError, JobFailed, JobStopped
from starfreight.jobs.gpu.fault_record import report_fault
from starfreight.jobs.gpu.faults import GpuFaultWords
from starfreight.jobs.protocol import events
from starfreight.recipe import Training
from starfreight.run import Run

_GRACE_SECONDS = 24 * 3600
"""Seconds for the processes to write a checkpoint: the limit is up to the caller that requests the stop."""

_RENDEZVOUS_SECONDS = 1800
"""Seconds the nodes wait for each other: a cluster may have to free capacity and pull an image."""

_RECORD_SECONDS = 60
"""Seconds until the other nodes see the first node's final status on the shared volume."""

LOST_PEERS = 101
"""Exit code of a process that failed because another one ended. The launcher reports the other one."""

NO_CONNECTION = 102
"""Exit code of a process that NCCL told of a failure of this machine. Another process may explain it."""

_LOST = ("DistBackendError", "DistNetworkError", "DistStoreError")
_LAST = {JobFailed.exit_code: 2, NO_CONNECTION: 3, LOST_PEERS: 4, -signal.SIGTERM: 5}
"""Exit codes that tell the least about the reason of a failure. SIGTERM is the launcher's."""


def node_count() -> int:
    """Number of machines training together."""
    return int(os.environ.get("PET_NNODES", "1"))


def process_count(run: Run) -> int:
    """Number of processes on this machine: the recipe's choice, or one per GPU.

    A resumed run keeps its number if this machine has enough GPUs, so its figures stay comparable.

    Raises:
        InputError: the recipe names more processes than there are GPUs, or they cannot share a step evenly.
    """
    chosen = run.recipe.run.processes
    if chosen == 1 and node_count() == 1:
        return 1
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if chosen is not None and 0 < gpus < chosen:
        raise InputError(
            f"The recipe needs a GPU for each of {chosen} processes; this machine has {gpus}.",
            where="key run.processes",
            fix="lower it, remove it, or run the job on a machine with more GPUs",
        )
    before = run.machine.processes // node_count() if run.machine else 0
    count = chosen or (before if 0 < before <= gpus else gpus) or 1
    return _even_share(count, run.recipe.training, chosen=chosen is not None)


def _even_share(count: int, training: Training, *, chosen: bool) -> int:
    accumulation = training.gradient_accumulation
    everywhere = count * node_count()
    if accumulation % everywhere == 0:
        return count
    if chosen or accumulation % node_count():
        raise InputError(
            f"{everywhere} processes cannot share a step of {accumulation} forward passes evenly.",
            where="key run.processes" if node_count() == 1 else f"key run.processes, on {node_count()} nodes",
            fix=f"make training.gradient_accumulation a multiple of {everywhere}",
        )
    return max(part for part in range(1, count + 1) if accumulation % (part * node_count()) == 0)


def launch(folder: Path, count: int, arguments: Sequence[str]) -> int:
    """Train a run in ``count`` processes on this machine, together with those of the other nodes.

    Args:
        folder: the run directory.
        count: number of processes.
        arguments: command line of each process, including the run directory.

    The record of the first process decides: if it says that the run is done, failures of other processes are
    noted in the log and change nothing.

    Returns:
        The common exit code: 75 after a requested stop.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=node_count(),
        max_nodes=node_count(),
        nproc_per_node=count,
        run_id=folder.name,
        **_rendezvous(),
        # Failed processes are not restarted one by one: the same command resumes from the checkpoint.
        max_restarts=0,
        shutdown_timeout=_GRACE_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "starfreight.jobs.train", *arguments)
    except SignalException:
        # The signal was forwarded to each process, and all of them have ended.
        run = _final_record(folder)
        if run.is_done(folder):
            return 0
        return JobFailed.exit_code if run.status == "failed" else JobStopped.exit_code
    except ChildFailedError as error:
        rank, failure = _decisive(error.failures)
        how = f"Training process {rank} of {count * node_count()} {_ended(failure.exitcode)}"
        if _final_record(folder).is_done(folder):
            events.send("note", text=f"{how} when the run was done: its record and its adapter are complete")
            return 0
        if failure.exitcode == NO_CONNECTION:
            words = GpuFaultWords("NCCL: unhandled system or CUDA error", certain=False, of_the_group=True)
            failed_gpu = report_fault(folder, words)
            if failed_gpu is not None:
                events.send("error", **failed_gpu.as_dict())
                return failed_gpu.exit_code
        elif failure.exitcode >= 0 and failure.exitcode != LOST_PEERS:
            return int(failure.exitcode)
        failed = JobFailed(
            f"{how}.",
            where=str(folder),
            fix="run the same command again to resume from the last checkpoint",
        )
        events.send("error", **failed.as_dict())
        return failed.exit_code
    return 0


def lost_peers(error: BaseException) -> bool:
    """True for an error of torch that follows from the end of another process of the group."""
    # Compared by name: referring to the classes would import torch for every other error.
    return type(error).__name__ in _LOST or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


def _decisive(failures: Mapping[int, Any]) -> tuple[int, Any]:
    """The rank and the failure to report.

    The launcher counts in seconds, and one failure makes the others fail at once. So among those within a
    second of the first, a process killed by the system comes before one that knows the reason, this one
    before one that failed for whatever reason, and that one before one that only lost the others.
    """
    first = min(failure.timestamp for failure in failures.values())

    def order(rank: int) -> tuple[bool, int, int]:
        code = failures[rank].exitcode
        reason = 0 if code < 0 and code != -signal.SIGTERM else _LAST.get(code, 1)
        return failures[rank].timestamp > first + 1, reason, rank

    rank = min(failures, key=order)
    return rank, failures[rank]


def _ended(code: int) -> str:
    if code in (LOST_PEERS, NO_CONNECTION):
        return "lost the connection to the others"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _rendezvous() -> dict[str, Any]:
    if node_count() == 1:
        return {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
    address, port = os.environ["PET_MASTER_ADDR"], os.environ["PET_MASTER_PORT"]
    rank = int(os.environ["PET_NODE_RANK"])
    return {
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{address}:{port}",
        "rdzv_configs": {"rank": rank, "timeout": _RENDEZVOUS_SECONDS},
    }


def _final_record(folder: Path) -> Run:
    """The record when the first process has ended; on another node its status may appear a little later."""
    end = time.monotonic() + (_RECORD_SECONDS if node_count() > 1 else 0)
    while (run := Run.load(folder)).status == "running" and time.monotonic() < end:
        time.sleep(0.5)
    return run
