"""Shared parts of the types with a signed scale and no minimum (Q3_K and Q6_K)."""

from __future__ import annotations

from typing import Any

import numpy as np

from starfreight.packager.press.kernels.lanes.operations import (
    between,
    inlined,
    load,
    select,
    splat,
    spread,
    store,
    to_floats,
)
from starfreight.packager.press.kernels.lanes.rounding import from_half, nearest, to_half
from starfreight.packager.press.kernels.lanes.vectors import LANES

ITEMS = 16
"""Numbers in a sub-block."""

SUB_BLOCKS = 16
"""Sub-blocks in a block."""

TOGETHER = LANES // SUB_BLOCKS
"""Blocks that fill all lanes."""

NOTHING = np.float32(1e-15)
"""A sub-block counts as zero if the magnitudes of all its numbers are below this."""


@inlined
def weigh(x: Any, weights: Any, weighted: Any) -> Any:
    """Find the number of the greatest magnitude, and weigh each number by its square.

    Args:
        x: the numbers, one sub-block in each lane.
        weights: receives the squares.
        weighted: receives the squares times the numbers.

    Returns:
        The signed number of the greatest magnitude in each lane, and a mask of the lanes counting as zero.
    """
    most, largest = splat(np.float32(0)), splat(np.float32(0))
    for item in range(ITEMS):
        value = load(x, item * LANES)
        weight = value * value
        store(weights, item * LANES, weight)
        store(weighted, item * LANES, weight * value)
        size = abs(value)
        larger = size > most
        most, largest = select(larger, size, most), select(larger, value, largest)
    return largest, most < splat(NOTHING)


@inlined
def round_scales(
    scales: Any,
    lowest: int,
    cut: int,
    highest: int,
    least: Any,
    some: Any,
    units: Any,
    whole: Any,
    steps: Any,
) -> None:
    """Round the scales of all blocks, so the largest scale of each block becomes its lowest level.

    Args:
        scales: one for each lane.
        lowest: the lowest level.
        cut: upper limit of levels before truncation to a signed byte.
        highest: upper limit after it.
        least: a block whose scales are all smaller counts as zero.
        some: receives, for each block, true if it does not count as zero.
        units: receives each block's own scale, rounded to a half, or zero.
        whole: receives the scales' levels, one byte each.
        steps: receives the values of those levels.
    """
    for block in range(TOGETHER):
        most, largest = np.float32(0), np.float32(0)
        for lane in range(block * SUB_BLOCKS, (block + 1) * SUB_BLOCKS):
            if abs(scales[lane]) > most:
                most, largest = abs(scales[lane]), scales[lane]
        some[block], steps[block], units[block] = most >= least, np.float32(0), np.float32(0)
        if some[block]:
            steps[block] = np.float32(lowest) / largest
            units[block] = from_half(to_half(np.float32(np.float32(1) / steps[block])))
    level = nearest(
        spread(steps, 0, SUB_BLOCKS) * load(scales, 0), splat(np.int32(-(2**31))), splat(np.int32(cut))
    )
    level = (level << splat(np.int32(24))) >> splat(np.int32(24))
    level = between(splat(np.int32(lowest)), level, splat(np.int32(highest)))
    store(whole, 0, level)
    store(steps, 0, spread(units, 0, SUB_BLOCKS) * to_floats(level))
