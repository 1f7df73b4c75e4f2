"""Q4_K (and Q5_K): blocks of eight sub-blocks of 32 numbers, each with a scale and a minimum of six bits.

A block's bytes: scale and minimum of the block (a half each), 12 bytes with those of the sub-blocks, in
Q5_K 32 bytes with the fifth bits of all levels, and 128 bytes with the lower four bits of two levels each.
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
from starfreight.packager.press.kernels.lanes.operations import inlined, load, splat, square_root, store
from starfreight.packager.press.kernels.lanes.rounding import nearest, nearest_one
from starfreight.packager.press.kernels.lanes.vectors import LANES

_ITEMS = 32
_SUB_BLOCKS = 8
_TOGETHER = LANES // _SUB_BLOCKS
"""Blocks that fill all lanes."""


@inlined
def _weigh(x: Any, weights: Any) -> None:
    """Weigh each number by its magnitude plus the root mean square of its sub-block."""
    total = splat(np.float32(0))
    for item in range(_ITEMS):
        value = load(x, item * LANES)
        total = total + value * value
    spread = square_root(total / splat(np.float32(_ITEMS)))
    for item in range(_ITEMS):
        store(weights, item * LANES, spread + abs(load(x, item * LANES)))


@inlined
def _six_bits(number: Any) -> Any:
    """A float rounded to an integer as in ggml: its low eight bits, clamped to 63."""
    return min(nearest_one(number) & 0xFF, 63)


@inlined
def _put_scales(results: Any, first: int, out: Any, at: int, steps: Any) -> None:
    """Write a block's scales and minimums, and store their rounded values in ``steps``."""
    by_scale, by_minimum, scale_unit, minimum_unit = put_units(
        results, first, _SUB_BLOCKS, np.float32(63), out, at
    )
    for lane in range(4):
        s1 = _six_bits(by_scale * results[SCALE + first + lane])
        m1 = _six_bits(by_minimum * results[MINIMUM + first + lane])
        s2 = _six_bits(by_scale * results[SCALE + first + lane + 4])
        m2 = _six_bits(by_minimum * results[MINIMUM + first + lane + 4])
        out[at + 4 + lane] = s1 | (s2 >> 4) << 6
        out[at + 8 + lane] = m1 | (m2 >> 4) << 6
        out[at + 12 + lane] = (s2 & 15) | (m2 & 15) << 4
        steps[lane], steps[lane + 4] = scale_unit * np.float32(s1), scale_unit * np.float32(s2)
        steps[lane + 8], steps[lane + 12] = minimum_unit * np.float32(m1), minimum_unit * np.float32(m2)


@inlined
def _levels(values: Any, at: int, sub_block: int, steps: Any, results: Any, first: int, top: int) -> Any:
    """A vector of levels: by the rounded scales, or the search's where the scale is zero."""
    value = load(values, at)
    bottom, ceiling = splat(np.int32(0)), splat(np.int32(top))
    if steps[sub_block] == np.float32(0):
        lane = first + sub_block
        moved = value - splat(results[OFFSET + lane])
        return nearest(splat(results[FACTOR + lane]) * moved, bottom, ceiling)
    return nearest((value + splat(steps[sub_block + _SUB_BLOCKS])) / splat(steps[sub_block]), bottom, ceiling)


@inlined
def quantise_blocks(values: Any, out: Any, top: int, start: Any, tries: int, size: int) -> None:
    """Quantise whole blocks.

    Args:
        values: float32, a multiple of 256.
        out: bytes, ``size`` for each block.
        top: the highest level: 15, or 31 for Q5_K.
        start: added to it by the search's first candidate.
        tries: candidates of the search.
        size: bytes of a block.
    """
    numbers, x, weights, levels = scratch(_ITEMS), scratch(_ITEMS), scratch(_ITEMS), scratch(_ITEMS)
    results = np.empty(RESULTS, dtype=np.float32)
    steps = np.empty(2 * _SUB_BLOCKS, dtype=np.float32)
    four, low = splat(np.int32(4)), splat(np.int32(15))
    blocks = values.size // BLOCK
    for first in range(0, blocks, _TOGETHER):
        count = min(_TOGETHER, blocks - first)
        side_by_side(values, first * BLOCK, count * BLOCK, numbers, x, _ITEMS)
        _weigh(x, weights)
        find_scale_and_minimum(x, weights, levels, results, _ITEMS, top, start, tries, False)
        for block in range(count):
            lane, source, at = block * _SUB_BLOCKS, (first + block) * BLOCK, (first + block) * size
            _put_scales(results, lane, out, at, steps)
            for part in range(0, _ITEMS, LANES):
                high = splat(np.int32(0))
                for sub_block in range(0, _SUB_BLOCKS, 2):
                    begin = source + sub_block * _ITEMS + part
                    even = _levels(values, begin, sub_block, steps, results, lane, top)
                    odd = _levels(values, begin + _ITEMS, sub_block + 1, steps, results, lane, top)
                    low_bits = at + size - BLOCK // 2 + sub_block // 2 * _ITEMS + part
                    store(out, low_bits, (even & low) | ((odd & low) << four))
                    high = high | ((even >> four) << splat(np.int32(sub_block)))
                    high = high | ((odd >> four) << splat(np.int32(sub_block + 1)))
                if top == 31:
                    store(out, at + 16 + part, high)


def kernel(sources: int) -> Callable[[Any, Any], int]:
    """Make the kernel; it returns ``sources``.

    Its arguments: numbers (float32, whole blocks of 256), and the same number of blocks of 144 bytes.
    """

    def quantise(values: Any, out: Any) -> int:
        quantise_blocks(values, out, 15, np.float32(-1), 21, 144)
        return sources

    return quantise
