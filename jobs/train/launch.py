"""Starts a process for each GPU by torchrun's launcher, and makes one exit code of theirs.

Several nodes find one another by the variables that torchrun reads (``PET_NNODES``, ``PET_NODE_RANK``,
``PET_MASTER_ADDR``, ``PET_MASTER_PORT``), which Kubeflow Trainer sets by itself. They share the runs' volume.
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

_GRACE = 24 * 3600
"""Seconds that the processes have to write a checkpoint: whoever asks for a stop decides how long to wait."""

_RENDEZVOUS = 1800
"""Seconds that the nodes wait for one another: a cluster may have to make room, and pull an image."""

_RECORD = 60
"""Seconds until the other nodes see on the shared volume how the first one ended."""


def nodes() -> int:
    """How many machines train together."""
    return int(os.environ.get("PET_NNODES", "1"))


def wanted(run: Run) -> int:
    """How many processes a run trains in on this machine: the recipe's choice, or one for each GPU.

    A run that goes on keeps its number, so that its figures stay comparable, where the machine has them.

    Raises:
        InputError: the recipe asks for more than there are GPUs, or they cannot share a step evenly.
    """
    asked = run.recipe.run.processes
    if asked == 1 and nodes() == 1:
        return 1
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked is not None and 0 < gpus < asked:
        raise InputError(
            f"The recipe asks for {asked} processes, and this machine has GPUs for {gpus}.",
            where="key run.processes",
            fix="lower it, leave it out, or run the job where there are more",
        )
    before = run.machine.processes // nodes() if run.machine else 0
    count = asked or (before if 0 < before <= gpus else gpus) or 1
    return _that_share_evenly(count, run.recipe.training, asked=asked is not None)


def _that_share_evenly(count: int, training: Training, *, asked: bool) -> int:
    accumulation = training.gradient_accumulation
    everywhere = count * nodes()
    if accumulation % everywhere == 0:
        return count
    if asked or accumulation % nodes():
        raise InputError(
            f"{everywhere} processes cannot share a step of {accumulation} forward passes evenly.",
            where="key run.processes" if nodes() == 1 else f"key run.processes, on {nodes()} nodes",
            fix=f"make training.gradient_accumulation a multiple of {everywhere}",
        )
    return max(part for part in range(1, count + 1) if accumulation % (part * nodes()) == 0)


def launch(folder: Path, count: int, arguments: Sequence[str]) -> int:
    """Trains a run in ``count`` processes of this machine, together with those of the other nodes.

    Args:
        folder: the run's folder.
        count: of processes.
        arguments: what each process is given, the run's folder among it.

    Returns:
        the exit code of all of them: 75 when they stopped as they were asked to.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=nodes(),
        max_nodes=nodes(),
        nproc_per_node=count,
        run_id=folder.name,
        **_meeting_point(),
        # A process that fails is not begun again by itself: the same command goes on from the checkpoint.
        max_restarts=0,
        shutdown_timeout=_GRACE,
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "starfreight.jobs.train", *arguments)
    except SignalException:
        # Each process was sent the signal, and has ended since.
        return JobStopped.exit_code if _stopped(folder) else JobFailed.exit_code
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode)
        failed = JobFailed(
            f"Training process {rank} of {count} was killed by signal {-failure.exitcode}.",
            where=str(folder),
            fix="run the same command again to go on from the last checkpoint",
        )
        events.send("error", **failed.as_dict())
        return failed.exit_code
    return 0


def _meeting_point() -> dict[str, Any]:
    if nodes() == 1:
        return {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
    address, port = os.environ["PET_MASTER_ADDR"], os.environ["PET_MASTER_PORT"]
    rank = int(os.environ["PET_NODE_RANK"])
    return {
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{address}:{port}",
        "rdzv_configs": {"rank": rank, "timeout": _RENDEZVOUS},
    }


def _stopped(folder: Path) -> bool:
    """Whether the first process wrote that it stopped; the one of another node may do so a little later."""
    end = time.monotonic() + (_RECORD if nodes() > 1 else 0)
    while (status := Run.load(folder).status) == "running" and time.monotonic() < end:
        time.sleep(0.5)
    return status == "stopped"
