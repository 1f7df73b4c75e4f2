"""Q3_K: blocks of sixteen sub-blocks of 16 numbers, each with a signed scale of six bits and no minimum.

A block's bytes: 32 with the upper bits of all levels, 64 with the lower two bits of four levels each, 12 with
the sub-blocks' scales, and the block's own (a half).
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
    to_floats,
    to_integers,
)
from starfreight.packager.press.kernels.lanes.rounding import nearest, to_half
from starfreight.packager.press.kernels.lanes.symmetric import (
    ITEMS,
    SUB_BLOCKS,
    TOGETHER,
    round_scales,
    weigh,
)
from starfreight.packager.press.kernels.lanes.vectors import LANES

_SIZE = 110
_LOW, _SCALES, _UNIT = 32, 96, 108
"""Offsets in a block of the lower bits, the scales of its sub-blocks and its own scale."""

_ROUNDS = 5

_FAR = 2**31 - 1
"""Scales are not clamped before truncation to a byte."""

_LEAST = np.float32(1e-45)
"""Any nonzero scale counts."""


@inlined
def _find_scales(x: Any, weights: Any, weighted: Any, levels: Any, scales: Any) -> None:
    """Find scale and levels by moving one level after the other where it reduces the weighted error.

    After a round without changes all further rounds change nothing either, so finished lanes may go on with
    the rest.

    Args:
        x: the numbers, one sub-block in each lane.
        weights: scratch, of the same length.
        weighted: scratch, of the same length.
        levels: receives the levels as floats, -4 to 3.
        scales: receives the scales; zero if all numbers count as zero, with levels of -4.
    """
    zero, lowest, highest = splat(np.float32(0)), splat(np.int32(-4)), splat(np.int32(3))
    largest, empty = weigh(x, weights, weighted)
    factor = splat(np.float32(-4)) / largest
    sum_xl, sum_l2 = zero, zero
    for item in range(ITEMS):
        level = to_floats(nearest(factor * load(x, item * LANES), lowest, highest))
        store(levels, item * LANES, level)
        sum_xl = sum_xl + load(weighted, item * LANES) * level
        sum_l2 = sum_l2 + load(weights, item * LANES) * level * level
    for _ in range(_ROUNDS):
        changed = zero != zero
        for item in range(ITEMS):
            level, weight, share = (
                load(levels, item * LANES),
                load(weights, item * LANES),
                load(weighted, item * LANES),
            )
            rest_xl = sum_xl - share * level
            rest_l2 = sum_l2 - weight * level * level
            moved = to_floats(nearest(load(x, item * LANES) * rest_l2 / rest_xl, lowest, highest))
            new_xl = rest_xl + share * moved
            new_l2 = rest_l2 + weight * moved * moved
            better = (rest_xl > zero) & (moved != level) & (new_l2 > zero)
            better = better & (new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2)
            store(levels, item * LANES, select(better, moved, level))
            sum_xl, sum_l2 = select(better, new_xl, sum_xl), select(better, new_l2, sum_l2)
            changed = changed | better
        if not any_lane(changed):
            break
    if any_lane(empty):
        for item in range(ITEMS):
            store(levels, item * LANES, select(empty, to_floats(lowest), load(levels, item * LANES)))
    scale = select(sum_l2 > zero, sum_xl / sum_l2, zero)
    store(scales, 0, select(empty, zero, scale))


@inlined
def _put_scales(whole: Any, first: int, some: bool, out: Any, at: int) -> None:
    """Write a block's scales, from 0 on, in twelve bytes: first the lower four bits, then the upper two."""
    for lane in range(8):
        low, high = whole[first + lane] + 32, whole[first + lane + 8] + 32
        out[at + lane] = (low & 15) | (high & 15) << 4 if some else 0
    for lane in range(4):
        packed = 0
        for part in range(4):
            packed |= (((whole[first + lane + 4 * part] + 32) >> 4) & 3) << (2 * part)
        out[at + 8 + lane] = packed if some else 0


@inlined
def _levels(values: Any, at: int, lane: int, steps: Any, levels: Any, column: Any) -> Any:
    """A vector of levels from 0 on: by the rounded scale, or the search's where it is zero."""
    lowest, highest, middle = splat(np.int32(-4)), splat(np.int32(3)), splat(np.int32(4))
    scale = spread(steps, lane, ITEMS)
    level = nearest(load(values, at) / scale, lowest, highest)
    lost = scale == splat(np.float32(0))
    if any_lane(lost):
        for item in range(LANES):
            column[item] = levels[item % ITEMS * LANES + lane + item // ITEMS]
        level = select(lost, to_integers(load(column, 0)), level)
    return level + middle


@inlined
def _quantise_blocks(values: Any, out: Any) -> None:
    numbers, x, weights, weighted = scratch(ITEMS), scratch(ITEMS), scratch(ITEMS), scratch(ITEMS)
    levels, column = scratch(ITEMS), scratch(1)
    scales, steps, units = scratch(1), scratch(1), scratch(1)
    some, whole = np.empty(TOGETHER, dtype=np.bool_), np.empty(LANES, dtype=np.uint8)
    two, low = splat(np.int32(2)), splat(np.int32(3))
    blocks = values.size // BLOCK
    for begin in range(0, blocks, TOGETHER):
        count = min(TOGETHER, blocks - begin)
        side_by_side(values, begin * BLOCK, count * BLOCK, numbers, x, ITEMS)
        _find_scales(x, weights, weighted, levels, scales)
        round_scales(scales, -32, _FAR, 31, _LEAST, some, units, whole, steps)
        for block in range(count):
            source, at = (begin + block) * BLOCK, (begin + block) * _SIZE
            _put_scales(whole, block * SUB_BLOCKS, some[block], out, at + _SCALES)
            put_half(out, at + _UNIT, to_half(units[block]))
            for odd in range(0, 2, LANES // ITEMS):
                high = splat(np.int32(0))
                for part in range(2):
                    packed = splat(np.int32(0))
                    for pair in range(4):
                        sub_block = part * 8 + pair * 2 + odd
                        number, lane = source + sub_block * ITEMS, block * SUB_BLOCKS + sub_block
                        found = _levels(values, number, lane, steps, levels, column)
                        packed = packed | ((found & low) << splat(np.int32(2 * pair)))
                        high = high | ((found >> two) << splat(np.int32(part * 4 + pair)))
                    store(out, at + _LOW + part * 32 + odd * ITEMS, packed)
                store(out, at + odd * ITEMS, high)


def kernel(sources: int) -> Callable[[Any, Any], int]:
    """Make the kernel; it returns ``sources``.

    Its arguments: numbers (float32, whole blocks of 256), and the same number of blocks of 110 bytes.
    """

    def quantise(values: Any, out: Any) -> int:
        _quantise_blocks(values, out)
        return sources

    return quantise
