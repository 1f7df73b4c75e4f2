"""The kernels of the slow types as torch operations on whole tensors, for a GPU.

Every number goes through the scalar routine's operations in the scalar routine's order, each rounded once,
so the bytes equal ggml's on any device:

- Only elementwise operations are used, one at a time. torch runs each as a kernel of its own, which rounds
  its result and keeps denormals. Nothing here may be compiled or fused (``torch.compile``, ``addcmul``,
  ``lerp``): a multiplication and an addition in one kernel become a fused multiply-add, which rounds once
  where the routine rounds twice.
- Sums go item by item, one addition of a whole row after the other (``arithmetic.add_up``): ``torch.sum``
  and matrix products add in an order of their own.
- Quotients have tensors on both sides: with a plain number, torch multiplies by the reciprocal.
- A NaN has other bits on a GPU than on a CPU; ``arithmetic.nearest`` takes that into account.

A kernel takes shape (blocks, 256), float32, and gives shape (blocks, bytes of a block), uint8, on the same
device.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

KERNELS: Mapping[str, str] = MappingProxyType(
    {"Q2_K": "q2_k", "Q3_K": "q3_k", "Q4_K": "q4_k", "Q5_K": "q5_k", "Q6_K": "q6_k"}
)
"""The types, and the modules with their kernels."""

BLOCK = 256
"""Numbers in a block of every type here."""


def encode_tensors(values: npt.NDArray[np.float32], kind: str, device: str) -> npt.NDArray[np.uint8]:
    """Quantise float32 to the bytes of a type with torch.

    Args:
        values: finite, whole blocks.
        kind: a type such as ``Q4_K``; one of :data:`KERNELS`.
        device: torch's name of it: ``cuda``, or ``cpu`` to try the kernels without a GPU.

    Raises:
        ImportError: torch is not installed.
        RuntimeError: the device failed or is out of memory.
    """
    import torch

    kernel: Any = importlib.import_module(f"{__name__}.{KERNELS[kind]}").quantise
    with torch.inference_mode():
        # torch.tensor copies, so the numbers may be read-only.
        blocks = torch.tensor(values.reshape(-1, BLOCK), device=device)
        made: npt.NDArray[np.uint8] = kernel(blocks).cpu().numpy()
    return made.reshape(-1)
