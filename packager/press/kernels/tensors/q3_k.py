"""Q3_K; see ``lanes.q3_k`` for the layout of a block."""

from __future__ import annotations

import torch
from torch import Tensor

from starfreight.packager.press.kernels.tensors.arithmetic import (
    add_up,
    constant,
    half_bytes,
    joined,
    nearest,
    pack,
    side_by_side,
)
from starfreight.packager.press.kernels.tensors.symmetric import (
    ITEMS,
    SUB_BLOCKS,
    round_scales,
    set_levels,
    weigh,
)

_LOWEST, _HIGHEST = -4, 3
_ROUNDS = 5

_LEAST = 1e-45
"""Any nonzero scale counts."""


def _find_scales(x: Tensor) -> tuple[Tensor, Tensor]:
    """Find scale and levels by moving one level after the other where it reduces the weighted error.

    All rounds are run, even after one without changes: checking for that would mean waiting for the device.

    Args:
        x: the numbers, shape (items, sub-blocks).

    Returns:
        The scales, and the levels as floats, from -4 to 3, in the shape of ``x``.
    """
    zero = constant(0, x)
    weights, weighted, largest, empty = weigh(x)
    levels = nearest(constant(_LOWEST, x) / largest * x, _LOWEST, _HIGHEST).to(torch.float32)
    sum_xl, sum_l2 = add_up(weighted * levels), add_up(weights * levels * levels)
    for _ in range(_ROUNDS):
        for item in range(ITEMS):
            value, level, weight, share = x[item], levels[item], weights[item], weighted[item]
            rest_xl, rest_l2 = sum_xl - share * level, sum_l2 - weight * level * level
            moved = nearest(value * rest_l2 / rest_xl, _LOWEST, _HIGHEST).to(torch.float32)
            new_xl, new_l2 = rest_xl + share * moved, rest_l2 + weight * moved * moved
            better = (rest_xl > zero) & (moved != level) & (new_l2 > zero)
            better &= new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2
            levels[item] = torch.where(better, moved, level)
            sum_xl, sum_l2 = torch.where(better, new_xl, sum_xl), torch.where(better, new_l2, sum_l2)
    levels.masked_fill_(empty, _LOWEST)
    scales = torch.where(sum_l2 > zero, sum_xl / sum_l2, zero)
    return torch.where(empty, zero, scales), levels


def quantise(blocks: Tensor) -> Tensor:
    """Shape (blocks, 256), float32, as (blocks, 110), uint8."""
    scales, found = _find_scales(side_by_side(blocks, ITEMS))
    written = round_scales(scales, -32, None, 31, _LEAST)
    found = found.to(torch.int32).sub_(_LOWEST).t().contiguous().view(-1, SUB_BLOCKS, ITEMS)
    levels = set_levels(blocks, written.steps, found, _LOWEST, _HIGHEST)
    whole = (written.whole + 32) * written.some
    low = pack(whole.view(-1, 2, 8) & 15, 4)
    high = pack(whole.view(-1, 4, 4) >> 4, 2)
    # Eight rows of 32 levels share the bytes of the upper bits, four rows those of the lower bits.
    upper = pack(levels.view(-1, 8, 32) >> 2, 1)
    lower = pack(levels.view(-1, 4, 32) & 3, 2).view(-1, 64)
    return joined(upper, lower, low, high, half_bytes(written.unit))
