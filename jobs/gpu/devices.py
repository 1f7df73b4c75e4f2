"""The GPUs of this machine or container, by their UUIDs: ``GPU-5c1b2f4a-...``."""

from __future__ import annotations

import contextlib
import csv
import io
import subprocess
import sys
from dataclasses import dataclass

_PATIENCE = 20
"""Seconds to wait for ``nvidia-smi``, which hangs if a GPU does not answer."""
_QUERY = "uuid,ecc.errors.uncorrected.volatile.total"


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        uuid: its identity on any machine.
        uncorrected: memory errors since the driver was loaded that ECC could not correct.
    """

    uuid: str
    uncorrected: int = 0


def list_gpus() -> list[Gpu]:
    """All GPUs that ``nvidia-smi`` lists, in its order; empty if it is missing or fails."""
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return read_list(done.stdout)


def gpu_name() -> str | None:
    """The name of the first GPU that ``nvidia-smi`` lists, such as ``NVIDIA H100 80GB HBM3``."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.splitlines()), None)


def read_list(text: str) -> list[Gpu]:
    """The GPUs in the output of ``nvidia-smi``. A GPU without ECC has ``[N/A]`` errors."""
    found = []
    for row in csv.reader(io.StringIO(text)):
        cells = [cell.strip() for cell in row]
        if len(cells) == 2 and cells[0].startswith("GPU-"):
            found.append(Gpu(cells[0], int(cells[1]) if cells[1].isdecimal() and len(cells[1]) < 19 else 0))
    return found


def failing_gpus() -> tuple[str, ...]:
    """The GPUs behind an error of this process: the one it uses, or those with uncorrected errors.

    Empty if neither is known.
    """
    used = _current_gpu()
    if used is not None:
        return (used,)
    return tuple(gpu.uuid for gpu in list_gpus() if gpu.uncorrected)


def _current_gpu() -> str | None:
    torch = sys.modules.get("torch")
    # After an error of CUDA, any call may fail again.
    with contextlib.suppress(Exception):
        if torch is not None and torch.cuda.is_initialized():
            properties = torch.cuda.get_device_properties(torch.cuda.current_device())
            return "GPU-" + str(properties.uuid).removeprefix("GPU-")
    return None
