"""A GPU that quantises beside the CPU cores, with the same bytes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGMLQuantizationType

from starfreight.errors import RecipeError
from starfreight.packager.press.kernels import ggml
from starfreight.packager.press.kernels.floats import Floats
from starfreight.packager.press.kernels.sample import sample_numbers
from starfreight.packager.press.kernels.tensors import KERNELS, encode_tensors

Device = Literal["auto", "cpu", "cuda"]
"""Where to quantise: on the cores and the GPU, only on the cores, or on the GPU wherever it has a kernel."""

_WORTHWHILE = 1 << 29
"""Elements per core to make a GPU worthwhile: the core quantises them in about the startup time of torch and
the GPU."""

_DRIVER = ("/dev/nvidiactl", "/dev/dxg")
"""One of these exists if programs can use an NVIDIA GPU: on Linux, and in Windows Subsystem for Linux."""


class Accelerator:
    """A torch device that takes work from threads, one piece at a time.

    One at a time keeps its memory small (some forty bytes per element of a piece) and avoids any question of
    order between streams. Copies to and from the device use unpinned memory and are not overlapped; meanwhile
    the cores go on with their own work.
    """

    def __init__(self, device: str, *, waits: bool) -> None:
        """Allocate no memory yet.

        Args:
            device: torch's name of it.
            waits: true if work waits while the device is busy, instead of going to the cores.
        """
        self._device, self._waits = device, waits
        self._ready: set[GGMLQuantizationType] = set()
        self._busy = threading.Lock()
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """The reason the device stopped, if it did. The cores did the rest."""
        return self._trouble

    def prepare(self, kind: GGMLQuantizationType) -> str | None:
        """Compare the device's bytes of a type with ggml's. Call it once per type, before starting threads.

        Returns:
            The reason the device cannot be used for a type with a GPU kernel, if it cannot.

        Raises:
            ServiceError: ggml's kernels are not installed.
        """
        if kind.name not in KERNELS:
            return None
        ggml.prepare(kind)
        values = sample_numbers()
        try:
            same = np.array_equal(
                encode_tensors(values, kind.name, self._device), ggml.quantise(values, kind)
            )
        except Exception as error:  # Another torch version may lack a function and raise anything.
            return f"{kind.name} is quantised without the GPU: torch fails ({_short(error)})"
        if not same:
            return f"{kind.name} is quantised without the GPU: its bytes differ from the processor's"
        self._ready.add(kind)
        return None

    def quantise(self, values: Floats, kind: GGMLQuantizationType) -> ggml.Bytes | None:
        """The bytes, or ``None`` if the device is busy, has failed, or does not support the type."""
        if kind not in self._ready or not self._busy.acquire(blocking=self._waits):
            return None
        try:
            return encode_tensors(values, kind.name, self._device)
        except RuntimeError as error:  # Out of memory, or a driver failure.
            self._ready.clear()
            self._trouble = f"The GPU stopped and the processor did the rest ({_short(error)})"
            return None
        finally:
            self._busy.release()


def find_accelerator(
    device: Device, elements: Mapping[GGMLQuantizationType, int], threads: int
) -> Accelerator | None:
    """The GPU, if requested or worth its startup time.

    Args:
        device: the user's choice.
        elements: number of elements to quantise to each type.
        threads: number of cores that would do the work otherwise.

    Raises:
        RecipeError: a GPU is required and torch finds none.
    """
    if device == "cpu":
        return None
    if device == "auto":
        suited = sum(count for kind, count in elements.items() if kind.name in KERNELS)
        # Importing torch takes over a second: do it only on machines that may have a GPU.
        if suited < _WORTHWHILE * threads or not any(Path(path).exists() for path in _DRIVER):
            return None
    reason = _why_no_gpu()
    if reason is None:
        return Accelerator("cuda", waits=device == "cuda")
    if device == "cuda":
        raise RecipeError(
            f"No GPU to quantise on: {reason}.",
            fix="remove --device cuda; the bytes are the same",
        )
    return None


def _why_no_gpu() -> str | None:
    try:
        import torch
    except Exception as error:  # A torch built for another system may raise anything.
        return f"torch cannot be imported ({_short(error)})"
    return None if torch.cuda.is_available() else "torch finds none"


def _short(error: Exception) -> str:
    """The error's first line; torch's messages have many."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
