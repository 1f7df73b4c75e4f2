"""Memory usage of training."""

from __future__ import annotations

import os
from pathlib import Path


def memory_in_use() -> int:
    """Bytes: the peak of GPU memory allocated to tensors, or the process's resident memory on a CPU."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
