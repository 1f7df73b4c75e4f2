"""Q5_K: Q4_K with one more bit per level."""

from __future__ import annotations

from torch import Tensor

from starfreight.packager.press.kernels.tensors.q4_k import quantise_blocks


def quantise(blocks: Tensor) -> Tensor:
    """Shape (blocks, 256), float32, as (blocks, 176), uint8."""
    return quantise_blocks(blocks, 31, -0.5, 16)
