"""Docker, and the GPUs of this machine and of its containers."""

from __future__ import annotations

import csv
import io

from starfreight.commands.machine.finding import Finding, program_output
from starfreight.errors import StarfreightError

_QUERY = "name,memory.total,driver_version"
_LEAST_DRIVER = 525
"""CUDA 12 needs it (docs.nvidia.com, CUDA compatibility)."""


def check_docker() -> Finding:
    """The engine's answer, and its way to GPUs."""
    from starfreight.docker_engine import connect, engine_address, engine_errors
    from starfreight.jobs.backends.docker.gpus import find_gpu_support

    try:
        with engine_errors():
            info = connect(seconds=4).info()
    except StarfreightError as error:
        return Finding("missing", error.what.rstrip("."), error.fix)
    text = f"Docker Engine {info.get('ServerVersion', '(unknown version)')} at {engine_address()}"
    support = find_gpu_support(info)
    if support.driver and not support.toolkit:
        return Finding(
            "warning",
            f"{text}, but its containers get no GPU",
            "install NVIDIA's container toolkit (nvidia-ctk runtime configure), and restart Docker",
        )
    return Finding("ok", text + (", with GPUs" if support.complete else ""))


def check_gpu() -> Finding:
    """NVIDIA's GPUs and driver."""
    output = program_output("nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(output or "")) if len(row) == 3]
    if not rows:
        return Finding(
            "missing",
            "no NVIDIA GPU, or no driver (nvidia-smi does not answer)",
            "small models train on the CPU; larger ones need a machine or a cluster with GPUs",
        )
    driver = rows[0][2]
    sizes = [f"{int(memory) / 1024:.0f} GB" if memory.isdecimal() else "?" for _, memory, _ in rows]
    names = ", ".join(f"{row[0]} ({size})" for row, size in zip(rows, sizes, strict=True))
    text = f"{names}; driver {driver}"
    major = driver.partition(".")[0]
    if major.isdecimal() and int(major) < _LEAST_DRIVER:
        return Finding("warning", text, f"update the driver to {_LEAST_DRIVER} or later, for CUDA 12")
    return Finding("ok", text)
