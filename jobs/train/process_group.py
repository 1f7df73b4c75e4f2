"""The group of processes training together: one per GPU, started by torchrun's launcher.

Agreements (a stop, a sum) use gloo between CPUs, so they work the same with and without GPUs.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PATIENCE = datetime.timedelta(hours=12)
"""Time limit of a collective operation: the first process prepares the data while the others wait."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those training together.

    Attributes:
        rank: number of this process, from 0.
        local_rank: number on this machine, also the number of its GPU.
        count: number of processes.
    """

    rank: int = 0
    local_rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """True for the process that writes files and reports progress."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all processes to get here."""
        if self.count > 1:
            self.sum([0.0])

    def any(self, value: bool) -> bool:
        """True if ``value`` is true in any process. All must call this."""
        return self.sum([float(value)])[0] > 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, in double precision. All must call this."""
        if self.count == 1:
            return list(values)
        import torch
        import torch.distributed

        sums = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(sums)
        result: list[float] = sums.tolist()
        return result

    def shard(self, items: Sequence[Any]) -> Sequence[Any]:
        """This process's share of a list."""
        return (
            items
            if self.count == 1
            else [items[number] for number in range(self.rank, len(items), self.count)]
        )


SINGLE_PROCESS = ProcessGroup()
"""The usual case: one process."""


def join_process_group() -> ProcessGroup:
    """Join the process group, if torchrun's launcher started this process."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if "LOCAL_RANK" not in os.environ or count == 1:
        return SINGLE_PROCESS
    import torch
    import torch.distributed

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    local_rank = int(os.environ["LOCAL_RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    return ProcessGroup(int(os.environ["RANK"]), local_rank, count)
