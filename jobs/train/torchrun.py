"""One process per GPU, started by torchrun's launcher, with one exit code for all of them.

Nodes find each other by torchrun's variables (``PET_NNODES``, ``PET_NODE_RANK``, ``PET_MASTER_ADDR``,
``PET_MASTER_PORT``), which Kubeflow Trainer sets. They share the volume with the runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starfreight.errors import InputError, JobFailed, JobStopped
from starfreight.jobs.protocol import events
from starfreight.recipe import Training
from starfreight.run import Run

_GRACE_SECONDS = 24 * 3600
"""Seconds for the processes to write a checkpoint: the limit is up to the caller that requests the stop."""

_RENDEZVOUS_SECONDS = 1800
"""Seconds the nodes wait for each other: a cluster may have to free capacity and pull an image."""

_RECORD_SECONDS = 60
"""Seconds until the other nodes see the first node's final status on the shared volume."""


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
        return JobStopped.exit_code if _stopped(folder) else JobFailed.exit_code
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode)
        failed = JobFailed(
            f"Training process {rank} of {count} was killed by signal {-failure.exitcode}.",
            where=str(folder),
            fix="run the same command again to resume from the last checkpoint",
        )
        events.send("error", **failed.as_dict())
        return failed.exit_code
    return 0


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


def _stopped(folder: Path) -> bool:
    """True if the first process recorded a stop; on another node the record may appear a little later."""
    end = time.monotonic() + (_RECORD_SECONDS if node_count() > 1 else 0)
    while (status := Run.load(folder).status) == "running" and time.monotonic() < end:
        time.sleep(0.5)
    return status == "stopped"
