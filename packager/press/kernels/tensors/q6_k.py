"""Q6_K; see ``lanes.q6_k`` for the layout of a block."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from starfreight.packager.press.kernels.tensors.arithmetic import (
    add_up,
    constant,
    half_bytes,
    joined,
    nearest,
    nearest_small,
    pack,
    side_by_side,
)
from starfreight.packager.press.kernels.tensors.symmetric import (
    ITEMS,
    NOTHING,
    SUB_BLOCKS,
    round_scales,
    set_levels,
    weigh,
)

_LOWEST, _HIGHEST = -32, 31
_TRIES = 9
"""Candidates on either side of the first guess."""


def _find_scales(x: Tensor) -> tuple[Tensor, Tensor]:
    """Find the scale with the least weighted error.

    Args:
        x: the numbers, shape (items, sub-blocks).

    Returns:
        The scales, and the multipliers from numbers to the levels found; both zero where all numbers
        count as zero.
    """
    zero = constant(0, x)
    weights, weighted, largest, empty = weigh(x)
    levels, products = torch.empty_like(x), x.new_empty((2, *x.shape))

    def sums(factor: Tensor) -> Tensor:
        # No number times its factor exceeds 33, unless all are too small to count.
        nearest_small(torch.mul(x, factor, out=levels), _LOWEST, _HIGHEST)
        torch.mul(weighted, levels, out=products[0])
        torch.mul(weights, levels, out=products[1]).mul_(levels)
        return add_up(products)

    factor = constant(_LOWEST, x) / largest
    sum_xl, sum_l2 = sums(factor)
    scale = torch.where(sum_l2 != zero, sum_xl / sum_l2, zero)
    best = scale * sum_xl
    for step in (step for step in range(-_TRIES, _TRIES + 1) if step != 0):
        stretched = np.float32(32) + np.float32(0.1) * np.float32(step)
        trial = constant(-float(stretched), x) / largest
        sum_xl, sum_l2 = sums(trial)
        better = (sum_l2 > zero) & (sum_xl * sum_xl > best * sum_l2)
        fit = sum_xl / sum_l2
        scale, factor = torch.where(better, fit, scale), torch.where(better, trial, factor)
        best = torch.where(better, fit * sum_xl, best)
    return torch.where(empty, zero, scale), torch.where(empty, zero, factor)


def quantise(blocks: Tensor) -> Tensor:
    """Shape (blocks, 256), float32, as (blocks, 210), uint8."""
    scales, factor = _find_scales(side_by_side(blocks, ITEMS))
    written = round_scales(scales, -128, 127, 127, NOTHING)
    factor = factor.view(-1, SUB_BLOCKS, 1)
    found = nearest(blocks.view(-1, SUB_BLOCKS, ITEMS) * factor, _LOWEST, _HIGHEST).sub_(_LOWEST)
    found *= factor != constant(0, blocks)
    levels = set_levels(blocks, written.steps, found, _LOWEST, _HIGHEST)
    # Two halves of a block: in each, the first 64 levels share bytes with the last 64, and four rows of 32
    # share the bytes of their upper bits.
    low = pack((levels & 15).view(-1, 2, 64), 4).view(-1, 128)
    high = pack((levels >> 4).view(-1, 4, 32), 2).view(-1, 64)
    return joined(low, high, written.whole & 255, half_bytes(written.unit)) * written.some
