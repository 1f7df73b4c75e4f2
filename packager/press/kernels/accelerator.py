"""A GPU that quantises beside the processor's cores. Which of them does a piece shows in no byte."""

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
"""Where to quantise: on the cores and the GPU, on the cores alone, or on the GPU alone what it can do."""

_WORTHWHILE = 1 << 29
"""So many numbers for each core: it quantises them in about the time in which torch and the GPU get ready."""

_DRIVER = ("/dev/nvidiactl", "/dev/dxg")
"""One of these is there where a program can use an NVIDIA GPU: on Linux, and in Windows' Linux."""


class Accelerator:
    """A device of torch's that takes pieces of work from threads, one piece at a time.

    One at a time keeps its memory small (some forty bytes for each number of a piece) and leaves no question
    of order between streams. A piece waits for its own way there and back, at the speed of memory that is
    not pinned; meanwhile the cores go on with theirs.
    """

    def __init__(self, device: str, *, waits: bool) -> None:
        """Takes no memory yet.

        Args:
            device: torch's name of it.
            waits: whether work is to wait while the device is busy, rather than go to the cores.
        """
        self._device, self._waits = device, waits
        self._ready: set[GGMLQuantizationType] = set()
        self._busy = threading.Lock()
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """What made the device stop, if it did. The cores did the rest."""
        return self._trouble

    def prepare(self, kind: GGMLQuantizationType) -> str | None:
        """Compares the device's bytes of a type with ggml's. Call it once for each type, before threads run.

        Returns:
            Why the device cannot be used for a type that it should know.

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
        except Exception as error:  # also what another torch, with other functions, may raise
            return f"{kind.name} is quantised without the GPU: torch fails ({_short(error)})"
        if not same:
            return f"{kind.name} is quantised without the GPU: it does not give the processor's bytes"
        self._ready.add(kind)
        return None

    def quantise(self, values: Floats, kind: GGMLQuantizationType) -> ggml.Bytes | None:
        """The bytes, or ``None`` if the device is busy, has failed, or does not know the type."""
        if kind not in self._ready or not self._busy.acquire(blocking=self._waits):
            return None
        try:
            return encode_tensors(values, kind.name, self._device)
        except RuntimeError as error:  # its memory is full, or the driver gave up
            self._ready.clear()
            self._trouble = f"The GPU stopped and the processor did the rest ({_short(error)})"
            return None
        finally:
            self._busy.release()


def find_accelerator(
    device: Device, elements: Mapping[GGMLQuantizationType, int], threads: int
) -> Accelerator | None:
    """The GPU, if one is asked for or worth its start.

    Args:
        device: what the user chose.
        elements: how many numbers go into each type.
        threads: how many cores do the work otherwise.

    Raises:
        RecipeError: a GPU was asked for and torch finds none.
    """
    if device == "cpu":
        return None
    if device == "auto":
        suited = sum(count for kind, count in elements.items() if kind.name in KERNELS)
        # Importing torch takes over a second, and is for machines that may have a GPU.
        if suited < _WORTHWHILE * threads or not any(Path(path).exists() for path in _DRIVER):
            return None
    reason = _why_no_gpu()
    if reason is None:
        return Accelerator("cuda", waits=device == "cuda")
    if device == "cuda":
        raise RecipeError(
            f"There is no GPU to quantise on: {reason}.",
            fix="leave --device cuda out; the bytes are the same",
        )
    return None


def _why_no_gpu() -> str | None:
    try:
        import torch
    except Exception as error:  # a torch built for another system may raise anything
        return f"torch cannot be imported ({_short(error)})"
    return None if torch.cuda.is_available() else "torch finds none"


def _short(error: Exception) -> str:
    """The error's first line: torch's go on for many."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
