"""Q6_K: blocks of sixteen sub-blocks of 16 numbers, each with a signed scale of eight bits and no minimum.

A block's bytes: 128 with the lower four bits of two levels each, 64 with the upper two bits of four levels
each, the sub-blocks' scales (a byte each) and the block's (a half).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from starfreight.packager.press.kernels.lanes.layout import BLOCK, put_half, scratch, side_by_side
from starfreight.packager.press.kernels.lanes.operations import (
    any_lane,
    inlined,
    load,
    select,
    splat,
    spread,
    store,
)
from starfreight.packager.press.kernels.lanes.rounding import nearest, nearest_small, to_half
from starfreight.packager.press.kernels.lanes.symmetric import (
    ITEMS,
    NOTHING,
    SUB_BLOCKS,
    TOGETHER,
    round_scales,
    weigh,
)
from starfreight.packager.press.kernels.lanes.vectors import LANES

_SIZE = 210
_HIGH, _SCALES, _UNIT = 128, 192, 208
"""Offsets in a block of the upper bits, the scales of its sub-blocks and its own scale."""

_TRIES = 9
"""Candidates on either side of the first guess."""


@inlined
def _sums(x: Any, weights: Any, weighted: Any, factor: Any) -> Any:
    """Weighted sums of the numbers times their levels, and of the levels squared.

    No number times its factor exceeds 33, unless all are too small to count.
    """
    sum_xl, sum_l2 = splat(np.float32(0)), splat(np.float32(0))
    lowest, highest = splat(np.float32(-32)), splat(np.float32(31))
    for item in range(ITEMS):
        level = nearest_small(factor * load(x, item * LANES), lowest, highest)
        sum_xl = sum_xl + load(weighted, item * LANES) * level
        sum_l2 = sum_l2 + load(weights, item * LANES) * level * level
    return sum_xl, sum_l2


@inlined
def _find_scales(x: Any, weights: Any, weighted: Any, scales: Any, factors: Any) -> None:
    """Find the scale with the least weighted error.

    Args:
        x: the numbers, one sub-block in each lane.
        weights: scratch, of the same length.
        weighted: scratch, of the same length.
        scales: receives the scales; zero if all numbers count as zero.
        factors: receives the multipliers from numbers to the levels found, or zero.
    """
    zero = splat(np.float32(0))
    largest, empty = weigh(x, weights, weighted)
    factor = splat(np.float32(-32)) / largest
    sum_xl, sum_l2 = _sums(x, weights, weighted, factor)
    scale = select(sum_l2 != zero, sum_xl / sum_l2, zero)
    best = scale * sum_xl
    for step in range(-_TRIES, _TRIES + 1):
        if step == 0:
            continue
        stretched = np.float32(np.float32(32) + np.float32(0.1) * np.float32(step))
        trial = splat(np.float32(-stretched)) / largest
        sum_xl, sum_l2 = _sums(x, weights, weighted, trial)
        better = (sum_l2 > zero) & (sum_xl * sum_xl > best * sum_l2)
        fit = sum_xl / sum_l2
        scale, factor = select(better, fit, scale), select(better, trial, factor)
        best = select(better, fit * sum_xl, best)
    store(scales, 0, select(empty, zero, scale))
    store(factors, 0, select(empty, zero, factor))


@inlined
def _levels(values: Any, at: int, lane: int, steps: Any, factors: Any) -> Any:
    """A vector of levels: by the rounded scale, or the search's where it is zero."""
    value = load(values, at)
    lowest, highest, middle = splat(np.int32(-32)), splat(np.int32(31)), splat(np.int32(32))
    scale = spread(steps, lane, ITEMS)
    level = nearest(value / scale, lowest, highest) + middle
    lost = scale == splat(np.float32(0))
    if any_lane(lost):
        factor = spread(factors, lane, ITEMS)
        found = nearest(factor * value, lowest, highest) + middle
        found = select(factor != splat(np.float32(0)), found, splat(np.int32(0)))
        level = select(lost, found, level)
    return level


@inlined
def _quantise_blocks(values: Any, out: Any) -> None:
    numbers, x, weights, weighted = scratch(ITEMS), scratch(ITEMS), scratch(ITEMS), scratch(ITEMS)
    scales, factors, steps, units = scratch(1), scratch(1), scratch(1), scratch(1)
    some, whole = np.empty(TOGETHER, dtype=np.bool_), np.empty(LANES, dtype=np.uint8)
    low, four, two, six = splat(np.int32(15)), splat(np.int32(4)), splat(np.int32(2)), splat(np.int32(6))
    blocks = values.size // BLOCK
    for begin in range(0, blocks, TOGETHER):
        count = min(TOGETHER, blocks - begin)
        side_by_side(values, begin * BLOCK, count * BLOCK, numbers, x, ITEMS)
        _find_scales(x, weights, weighted, scales, factors)
        round_scales(scales, -128, 127, 127, NOTHING, some, units, whole, steps)
        for block in range(count):
            source, at = (begin + block) * BLOCK, (begin + block) * _SIZE
            if not some[block]:
                for byte in range(_SIZE):
                    out[at + byte] = 0
                continue
            for lane in range(SUB_BLOCKS):
                out[at + _SCALES + lane] = whole[block * SUB_BLOCKS + lane]
            put_half(out, at + _UNIT, to_half(units[block]))
            for part in range(2):
                for odd in range(0, 2, LANES // ITEMS):
                    sub_block, shift = part * 8 + odd, odd * ITEMS
                    number, lane = source + sub_block * ITEMS, block * SUB_BLOCKS + sub_block
                    first = _levels(values, number, lane, steps, factors)
                    second = _levels(values, number + 32, lane + 2, steps, factors)
                    third = _levels(values, number + 64, lane + 4, steps, factors)
                    fourth = _levels(values, number + 96, lane + 6, steps, factors)
                    store(out, at + part * 64 + shift, (first & low) | ((third & low) << four))
                    store(out, at + part * 64 + 32 + shift, (second & low) | ((fourth & low) << four))
                    high = (first >> four) | ((second >> four) << two)
                    high = high | ((third >> four) << four) | ((fourth >> four) << six)
                    store(out, at + _HIGH + part * 32 + shift, high)


def kernel(sources: int) -> Callable[[Any, Any], int]:
    """Make the kernel; it returns ``sources``.

    Its arguments: numbers (float32, whole blocks of 256), and the same number of blocks of 210 bytes.
    """

    def quantise(values: Any, out: Any) -> int:
        _quantise_blocks(values, out)
        return sources

    return quantise
