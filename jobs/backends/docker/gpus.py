"""The GPUs of a container: which ones to ask the engine for, and whether this machine has what that takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.recipe.run import Gpus

_DRIVER = ("proc/driver/nvidia/version", "dev/nvidiactl", "usr/lib/wsl/lib/nvidia-smi")
_CDI = ("etc/cdi", "var/run/cdi")


@dataclass(frozen=True)
class GpuSupport:
    """What a container needs to see NVIDIA's GPUs.

    Attributes:
        driver: NVIDIA's driver is loaded.
        toolkit: NVIDIA's container toolkit is installed, so that the engine can pass GPUs on.
    """

    driver: bool
    toolkit: bool

    @property
    def complete(self) -> bool:
        """Whether a container can have GPUs."""
        return self.driver and self.toolkit


def find_gpu_support(info: Mapping[str, Any], root: Path = Path("/")) -> GpuSupport:
    """Looks for the driver and the toolkit.

    Args:
        info: what the engine says of itself.
        root: of the file system.
    """
    driver = any((root / path).exists() for path in _DRIVER) or shutil.which("nvidia-smi") is not None
    toolkit = (
        "nvidia" in (info.get("Runtimes") or {})
        or shutil.which("nvidia-container-runtime-hook") is not None
        or any(any((root / folder).glob("nvidia*")) for folder in _CDI)
    )
    return GpuSupport(driver, toolkit)


def gpu_request(asked: Gpus | None, support: GpuSupport) -> list[dict[str, Any]]:
    """What to ask the engine for, as the arguments of Docker's ``DeviceRequest``: nothing, or one request.

    Args:
        asked: the recipe's choice; all that can be had when ``None``.
        support: what this machine has.

    Raises:
        InputError: GPUs are asked for and something is missing.
    """
    if asked == 0 or (asked is None and not support.complete):
        return []
    missing = [
        what
        for there, what in (
            (support.driver, "NVIDIA's driver (/proc/driver/nvidia/version is not there)"),
            (support.toolkit, "NVIDIA's container toolkit (docker info shows no runtime nvidia)"),
        )
        if not there
    ]
    if missing:
        raise InputError(
            f"GPUs are asked for, and this machine lacks {' and '.join(missing)}.",
            where="key run.gpus, option --gpus",
            fix="install it (nvidia-ctk runtime configure --runtime=docker, then restart Docker),"
            " or train on the CPU: --gpus 0",
        )
    request: dict[str, Any] = {"capabilities": [["gpu"]]}
    if isinstance(asked, tuple):
        return [{**request, "device_ids": [str(number) for number in asked]}]
    return [{**request, "count": asked if isinstance(asked, int) else -1}]


def gpus_in_words(requests: list[dict[str, Any]]) -> str:
    """What a container gets: ``no GPU``, ``all GPUs``, ``2 GPUs``, ``GPU 0, 1``."""
    if not requests:
        return "no GPU"
    if "device_ids" in requests[0]:
        return f"GPU {', '.join(requests[0]['device_ids'])}"
    count = requests[0]["count"]
    return "all GPUs" if count < 0 else f"{count} GPU{'s' if count > 1 else ''}"
