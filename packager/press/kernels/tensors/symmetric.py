"""Shared parts of the types with a scale and no minimum (Q3_K and Q6_K); ``lanes.symmetric`` on tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from starfreight.packager.press.kernels.tensors.arithmetic import constant, nearest, to_half

ITEMS = 16
"""Numbers in a sub-block."""

SUB_BLOCKS = 16
"""Sub-blocks in a block."""

NOTHING = 1e-15
"""A sub-block counts as zero if the magnitudes of all its numbers are below this."""


@dataclass(frozen=True)
class BlockScales:
    """The scales of blocks as written.

    Attributes:
        some: true for a block that does not count as zero, shape (blocks, 1).
        unit: the block's own scale, float16, or zero; the same shape.
        whole: the sub-blocks' scales as multiples of it, int32, shape (blocks, sub-blocks).
        steps: the values of ``whole``, float32, the same shape.
    """

    some: Tensor
    unit: Tensor
    whole: Tensor
    steps: Tensor


def greatest(numbers: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The greatest magnitude along a dimension, which is kept, and the first number with it, signed.

    NaNs are skipped. Both are zero if all numbers are.
    """
    zero = constant(0, numbers)
    size = numbers.abs()
    size = torch.where(size > zero, size, zero)
    # argmax guarantees the first of several.
    place = size.argmax(dim, keepdim=True)
    most = size.gather(dim, place)
    return most, torch.where(most > zero, numbers.gather(dim, place), zero)


def weigh(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weigh each number by its square.

    Args:
        x: the numbers, shape (items, sub-blocks).

    Returns:
        The weights, the weights times the numbers, the number of the greatest magnitude of each sub-block,
        and a mask of the sub-blocks counting as zero.
    """
    most, largest = greatest(x, 0)
    weights = x * x
    return weights, weights * x, largest[0], most[0] < constant(NOTHING, x)


def round_scales(scales: Tensor, lowest: int, cut: int | None, highest: int, least: float) -> BlockScales:
    """Round the scales of all blocks, so the largest scale of each block becomes its lowest level.

    Args:
        scales: one for each sub-block.
        lowest: the lowest level.
        cut: upper limit of levels before truncation to a signed byte, if any.
        highest: upper limit after it.
        least: a block whose scales are all smaller counts as zero.
    """
    scales = scales.view(-1, SUB_BLOCKS)
    zero, limit = constant(0, scales), 2**31 - 1
    most, largest = greatest(scales, 1)
    some = most >= constant(least, scales)
    inverse = torch.where(some, constant(lowest, scales) / largest, zero)
    unit = to_half(torch.where(some, constant(1, scales) / inverse, zero))
    whole = nearest(inverse * scales, -(2**31), limit if cut is None else cut)
    # Truncate to a signed byte.
    whole = ((whole + 128) & 255) - 128
    whole.clamp_(lowest, highest)
    return BlockScales(some, unit, whole, unit.to(torch.float32) * whole.to(torch.float32))


def set_levels(blocks: Tensor, steps: Tensor, found: Tensor, lowest: int, highest: int) -> Tensor:
    """The levels by the rounded scales, or the search's where a scale is zero; all from zero on.

    Args:
        blocks: the numbers, shape (blocks, 256).
        steps: values of the rounded scales.
        found: the search's levels, shape (blocks, sub-blocks, items), int32, from zero on.
        lowest: the lowest level.
        highest: the highest.

    Returns:
        The shape of ``found``.
    """
    steps = steps.unsqueeze(2)
    levels = nearest(blocks.view_as(found) / steps, lowest, highest).sub_(lowest)
    return torch.where(steps == constant(0, blocks), found, levels)
