"""What the types with a signed scale and no minimum (Q3_K and Q6_K) have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from packager.press.kernels.lanes.operations import inlined, load, select, splat, store
from packager.press.kernels.lanes.vectors import LANES

ITEMS = 16
"""Numbers in a sub-block."""

NOTHING = np.float32(1e-15)
"""Sub-blocks whose numbers are all smaller than this count as zero."""


@inlined
def weigh(x: Any, weights: Any, weighted: Any) -> Any:
    """Looks for the number of the greatest size; a number counts as much as its square.

    Args:
        x: the numbers, one sub-block in each lane.
        weights: gets the squares.
        weighted: gets the squares times the numbers.

    Returns:
        The number in each lane, sign and all, and whether the sub-block counts as zero.
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
def largest_scale(scales: Any, first: int) -> Any:
    """The first of the greatest size among a block's sixteen scales."""
    most, largest = np.float32(0), np.float32(0)
    for lane in range(first, first + 16):
        if abs(scales[lane]) > most:
            most, largest = abs(scales[lane]), scales[lane]
    return largest
