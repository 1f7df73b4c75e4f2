"""GPUs of a container: the request to the engine, and the driver and toolkit it needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import human_count, printable
from starfreight.errors import InputError
from starfreight.jobs.gpu.devices import Gpu, list_gpus
from starfreight.jobs.gpu.fault_record import RecordedFault
from starfreight.recipe.run import Gpus

_DRIVER = ("proc/driver/nvidia/version", "dev/nvidiactl", "usr/lib/wsl/lib/nvidia-smi")
_CDI = ("etc/cdi", "var/run/cdi")


@dataclass(frozen=True)
class GpuSupport:
    """Software of this machine that gives containers access to NVIDIA GPUs.

    Attributes:
        driver: true if NVIDIA's driver is loaded.
        toolkit: true if NVIDIA's container toolkit is installed, through which the engine passes GPUs on.
    """

    driver: bool
    toolkit: bool

    @property
    def complete(self) -> bool:
        """True if a container can use GPUs."""
        return self.driver and self.toolkit


def find_gpu_support(info: Mapping[str, Any], root: Path = Path("/")) -> GpuSupport:
    """Looks for the driver and the toolkit.

    Args:
        info: the engine's description of itself (``docker info``).
        root: of the file system.
    """
    driver = any((root / path).exists() for path in _DRIVER) or shutil.which("nvidia-smi") is not None
    toolkit = (
        "nvidia" in (info.get("Runtimes") or {})
        or shutil.which("nvidia-container-runtime-hook") is not None
        or any(any((root / folder).glob("nvidia*")) for folder in _CDI)
    )
    return GpuSupport(driver, toolkit)


def gpu_request(
    wanted: Gpus | None,
    support: GpuSupport,
    sick: Collection[str] = (),
    list_gpus: Callable[[], list[Gpu]] = list_gpus,
) -> list[dict[str, Any]]:
    """The request to the engine, as arguments of Docker's ``DeviceRequest``: none or one.

    Args:
        wanted: the recipe's choice; ``None`` for all available GPUs, if any.
        support: software of this machine.
        sick: UUIDs of GPUs to leave out if enough others remain. GPUs that the recipe names are taken all the
            same.
        list_gpus: lists the GPUs of this machine.

    Raises:
        InputError: GPUs are requested, but the driver or the toolkit is missing.
    """
    if wanted == 0 or (wanted is None and not support.complete):
        return []
    missing = [
        name
        for found, name in (
            (support.driver, "NVIDIA's driver (/proc/driver/nvidia/version does not exist)"),
            (support.toolkit, "NVIDIA's container toolkit (docker info lists no nvidia runtime)"),
        )
        if not found
    ]
    if missing:
        raise InputError(
            f"The job requests GPUs, but this machine lacks {' and '.join(missing)}.",
            where="key run.gpus, option --gpus",
            fix="install it (nvidia-ctk runtime configure --runtime=docker, then restart Docker),"
            " or train on the CPU: --gpus 0",
        )
    request: dict[str, Any] = {"capabilities": [["gpu"]]}
    if isinstance(wanted, tuple):
        return [{**request, "device_ids": [str(number) for number in wanted]}]
    if sick:
        there = [gpu.uuid for gpu in list_gpus()]
        healthy = [uuid for uuid in there if uuid not in sick]
        count = wanted if isinstance(wanted, int) else len(healthy)
        if len(healthy) < len(there) and 0 < count <= len(healthy):
            return [{**request, "device_ids": healthy[:count]}]
    return [{**request, "count": wanted if isinstance(wanted, int) else -1}]


def gpus_in_words(requests: list[dict[str, Any]]) -> str:
    """GPUs of a container in words: ``no GPU``, ``all GPUs``, ``2 GPUs``, ``GPU 0, 1``."""
    if not requests:
        return "no GPU"
    if "device_ids" in requests[0]:
        return f"GPU {', '.join(requests[0]['device_ids'])}"
    count = requests[0]["count"]
    return "all GPUs" if count < 0 else human_count(count, "GPUs")


def sick_in_words(sick: Mapping[str, RecordedFault], requests: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each GPU that failed in this run: whether the container gets it.

    Args:
        sick: the GPUs by their UUIDs.
        requests: of the container.
    """
    chosen = requests[0].get("device_ids") if requests else []
    left_out = chosen is not None and (not chosen or chosen[0].startswith("GPU-"))
    for uuid, fault in sick.items():
        what = printable(f"{uuid} failed at {fault.at}: {fault.words}")
        if left_out and uuid not in (chosen or ()):
            yield f"left out: {what}"
        else:
            yield f"Warning: this container may get a sick GPU. {what}. To choose others: --gpus 1,2"
