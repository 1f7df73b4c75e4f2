"""The version of the GPU's driver."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

_PATIENCE = 20
"""Seconds to wait for ``nvidia-smi``, which hangs if a GPU does not answer."""
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")
_AMD_MODULE = Path("/sys/module/amdgpu/version")
_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){1,3}")


def driver_version() -> str | None:
    """The version, such as ``570.86.15``; ``None`` if it is unknown."""
    with contextlib.suppress(OSError):
        found = read_module(_KERNEL_MODULE.read_text(errors="replace"))
        if found is not None:
            return found
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
        lines = done.stdout.split()
        if done.returncode == 0 and lines and _VERSION.fullmatch(lines[0]):
            return lines[0]
    with contextlib.suppress(OSError):
        text = _AMD_MODULE.read_text(errors="replace").strip()
        if _VERSION.fullmatch(text):
            return text
    return None


def read_module(text: str) -> str | None:
    """The version in ``/proc/driver/nvidia/version``, of the proprietary or the open kernel module."""
    for line in text.splitlines():
        if line.startswith("NVRM version:") and (found := _VERSION.search(line)) is not None:
            return found[0]
    return None
