"""Q2_K; see ``lanes.q2_k`` for the layout of a block."""

from __future__ import annotations

import torch
from torch import Tensor

from starfreight.packager.press.kernels.tensors.affine import find_scale_and_minimum, round_scales, set_levels
from starfreight.packager.press.kernels.tensors.arithmetic import half_bytes, joined, pack, side_by_side

_ITEMS, _SUB_BLOCKS = 16, 16


def quantise(blocks: Tensor) -> Tensor:
    """Shape (blocks, 256), float32, as (blocks, 84), uint8."""
    x = side_by_side(blocks, _ITEMS)
    found = find_scale_and_minimum(x, x.abs(), 3, -0.5, 16, True)
    steps = round_scales(found, _SUB_BLOCKS, 15)
    both = (steps.scales | steps.minimums << 4) & 255
    scales = steps.scale_unit.to(torch.float32) * (both & 15)
    minimums = steps.minimum_unit.to(torch.float32) * (both >> 4)
    levels = set_levels(blocks, found, scales, minimums, 3)
    # Two halves of a block, each with four rows of 32 levels sharing bytes.
    packed = pack(levels.view(-1, 4, 32), 2).view(-1, 64)
    return joined(both, packed, half_bytes(steps.scale_unit), half_bytes(steps.minimum_unit))
