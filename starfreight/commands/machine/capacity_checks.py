"""Disk and memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from starfreight.commands.machine.finding import Finding
from starfreight.console import human_count
from starfreight.machine_limits import available_memory, usable_processors

_LEAST_DISK = 20 * 10**9
"""A base model of 3B parameters, its runs, and a package in three quantizations."""
_LEAST_MEMORY = 8 * 10**9


def check_disk() -> Finding:
    """Free space here, and in the cache of downloaded models."""
    cache = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
    while not cache.exists() and cache != cache.parent:
        cache = cache.parent
    free = {str(path): shutil.disk_usage(path).free for path in (Path.cwd(), cache)}
    text = ", ".join(f"{human_count(size, 'B')} free in {path}" for path, size in free.items())
    if min(free.values()) < _LEAST_DISK:
        return Finding(
            "warning", text, "enough for the quickstart; starfreight plan RECIPE tells the need of a recipe"
        )
    return Finding("ok", text)


def check_memory() -> Finding:
    """Memory and processors of this process."""
    memory = available_memory()
    cores = human_count(usable_processors(), "processors")
    if memory is None:
        return Finding("ok", f"{cores}; the system does not tell the free memory")
    text = f"{human_count(memory, 'B')} of memory free, {cores}"
    if memory < _LEAST_MEMORY:
        return Finding("warning", text, "enough for the quickstart; larger models need 8 GB and more")
    return Finding("ok", text)
