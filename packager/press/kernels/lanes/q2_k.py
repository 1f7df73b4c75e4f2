"""Q2_K: blocks of sixteen sub-blocks of 16 numbers, each with a scale and a minimum of four bits.

A block's bytes: 16 with the scales (low bits) and minimums (high bits) of the sub-blocks, 64 with four
levels each, and the block's scale and minimum (a half each).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from starfreight.packager.press.kernels.lanes.affine import (
    FACTOR,
    MINIMUM,
    OFFSET,
    RESULTS,
    SCALE,
    find_scale_and_minimum,
    put_units,
)
from starfreight.packager.press.kernels.lanes.layout import BLOCK, scratch, side_by_side
from starfreight.packager.press.kernels.lanes.operations import (
    any_lane,
    inlined,
    load,
    select,
    splat,
    spread,
    store,
)
from starfreight.packager.press.kernels.lanes.rounding import nearest, nearest_one
from starfreight.packager.press.kernels.lanes.vectors import LANES

_ITEMS, _SUB_BLOCKS = 16, 16
_TOGETHER = LANES // _SUB_BLOCKS
"""Blocks that fill all lanes."""

_SIZE = 84
_LEVELS, _UNITS = 16, 80
"""Offsets in a block of the levels, and of its own scale and minimum."""


@inlined
def _put_scales(results: Any, first: int, out: Any, at: int, steps: Any) -> None:
    """Write a block's scales and minimums, and store their rounded values in ``steps``."""
    by_scale, by_minimum, scale_unit, minimum_unit = put_units(
        results, first, _SUB_BLOCKS, np.float32(15), out, at + _UNITS
    )
    for lane in range(_SUB_BLOCKS):
        both = nearest_one(by_scale * results[SCALE + first + lane])
        both = both | nearest_one(by_minimum * results[MINIMUM + first + lane]) << 4
        out[at + lane] = both & 0xFF
        steps[lane] = scale_unit * np.float32(both & 15)
        steps[lane + _SUB_BLOCKS] = minimum_unit * np.float32((both >> 4) & 15)


@inlined
def _levels(values: Any, at: int, sub_block: int, steps: Any, results: Any, first: int) -> Any:
    """A vector of levels: by the rounded scales, or the search's where the scale is zero."""
    value = load(values, at + sub_block * _ITEMS)
    bottom, ceiling = splat(np.int32(0)), splat(np.int32(3))
    scale, minimum = spread(steps, sub_block, _ITEMS), spread(steps, sub_block + _SUB_BLOCKS, _ITEMS)
    level = nearest((value + minimum) / scale, bottom, ceiling)
    lost = scale == splat(np.float32(0))
    if any_lane(lost):
        moved = value - spread(results, OFFSET + first + sub_block, _ITEMS)
        found = nearest(spread(results, FACTOR + first + sub_block, _ITEMS) * moved, bottom, ceiling)
        level = select(lost, found, level)
    return level


@inlined
def _quantise_blocks(values: Any, out: Any) -> None:
    numbers, x, weights, levels = scratch(_ITEMS), scratch(_ITEMS), scratch(_ITEMS), scratch(_ITEMS)
    results = np.empty(RESULTS, dtype=np.float32)
    steps = np.empty(2 * _SUB_BLOCKS, dtype=np.float32)
    blocks = values.size // BLOCK
    for first in range(0, blocks, _TOGETHER):
        count = min(_TOGETHER, blocks - first)
        side_by_side(values, first * BLOCK, count * BLOCK, numbers, x, _ITEMS)
        for item in range(_ITEMS):
            store(weights, item * LANES, abs(load(x, item * LANES)))
        find_scale_and_minimum(x, weights, levels, results, _ITEMS, 3, np.float32(-0.5), 16, True)
        for block in range(count):
            lane, source, at = block * _SUB_BLOCKS, (first + block) * BLOCK, (first + block) * _SIZE
            _put_scales(results, lane, out, at, steps)
            for part in range(2):
                for odd in range(0, 2, LANES // _ITEMS):
                    packed = splat(np.int32(0))
                    for pair in range(4):
                        sub_block = part * 8 + pair * 2 + odd
                        found = _levels(values, source, sub_block, steps, results, lane)
                        packed = packed | (found << splat(np.int32(2 * pair)))
                    store(out, at + _LEVELS + part * 32 + odd * _ITEMS, packed)


def kernel(sources: int) -> Callable[[Any, Any], int]:
    """Make the kernel; it returns ``sources``.

    Its arguments: numbers (float32, whole blocks of 256), and the same number of blocks of 84 bytes.
    """

    def quantise(values: Any, out: Any) -> int:
        _quantise_blocks(values, out)
        return sources

    return quantise
