"""The search for a scale and a minimum, sixteen sub-blocks at a time (Q2_K, Q4_K and Q5_K)."""

from __future__ import annotations

from typing import Any

import numpy as np

from starfreight.packager.press.kernels.lanes.layout import put_half
from starfreight.packager.press.kernels.lanes.operations import (
    any_lane,
    inlined,
    load,
    select,
    splat,
    store,
    to_floats,
)
from starfreight.packager.press.kernels.lanes.rounding import from_half, nearest, to_half
from starfreight.packager.press.kernels.lanes.vectors import LANES

SCALE, MINIMUM, FACTOR, OFFSET = 0, LANES, 2 * LANES, 3 * LANES
"""Positions in the array of results, each with one float per sub-block:

the scale; the negated minimum, which is not negative; and the factor and the offset of the levels found,
``nearest(factor * (x - offset))``.
"""

RESULTS = 4 * LANES
"""Length of the array of results."""


@inlined
def find_scale_and_minimum(
    x: Any,
    weights: Any,
    levels: Any,
    results: Any,
    size: int,
    top: int,
    start: Any,
    steps: int,
    absolute: bool,
) -> None:
    """Find the scale and the minimum with the least weighted error.

    Each lane does ggml's search for one sub-block: a first guess from the range of the numbers, then
    candidates with a slightly stretched or shrunk range; for each, set the levels, solve the weighted
    least-squares fit, and keep the fit if its error is the smallest so far. The minimum kept shifts the
    candidates after it.

    Args:
        x: the numbers, ``size`` vectors.
        weights: weight of each number, the same.
        levels: scratch, the same.
        results: receives the result; see :data:`SCALE`.
        size: numbers in a sub-block.
        top: the highest level.
        start: added to ``top`` by the first candidate; each one adds 0.1 more.
        steps: candidates after the first guess.
        absolute: true to sum distances instead of squares.
    """
    zero, bottom, ceiling = splat(np.float32(0)), splat(np.int32(0)), splat(np.int32(top))
    low = load(x, 0)
    high = low
    sum_w = load(weights, 0)
    sum_x = sum_w * low
    for item in range(1, size):
        value, weight = load(x, item * LANES), load(weights, item * LANES)
        low = select(value < low, value, low)
        high = select(value > high, value, high)
        sum_w = sum_w + weight
        sum_x = sum_x + weight * value
    low = select(low > zero, zero, low)
    flat = high == low

    factor, offset = splat(np.float32(top)) / (high - low), low
    scale = splat(np.float32(1)) / factor
    least = zero
    for item in range(size):
        value = load(x, item * LANES)
        level = to_floats(nearest(factor * (value - low), bottom, ceiling))
        off = scale * level + low - value
        off = abs(off) if absolute else off * off
        least = least + load(weights, item * LANES) * off

    for step in range(steps):
        stretch = np.float32(np.float32(start + np.float32(0.1) * np.float32(step)) + np.float32(top))
        trial = splat(stretch) / (high - low)
        sum_l, sum_l2, sum_xl = zero, zero, zero
        for item in range(size):
            value = load(x, item * LANES)
            level = to_floats(nearest(trial * (value - low), bottom, ceiling))
            store(levels, item * LANES, level)
            weighted = load(weights, item * LANES) * level
            sum_l = sum_l + weighted
            sum_l2 = sum_l2 + weighted * level
            sum_xl = sum_xl + weighted * value
        determinant = sum_w * sum_l2 - sum_l * sum_l
        fit_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        fit_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        above = fit_low > zero
        if any_lane(above):
            fit_scale = select(above, sum_xl / sum_l2, fit_scale)
            fit_low = select(above, zero, fit_low)
        error = zero
        for item in range(size):
            off = fit_scale * load(levels, item * LANES) + fit_low - load(x, item * LANES)
            off = abs(off) if absolute else off * off
            error = error + load(weights, item * LANES) * off
        better = (determinant > zero) & (error < least)
        factor, offset = select(better, trial, factor), select(better, low, offset)
        least = select(better, error, least)
        scale, low = select(better, fit_scale, scale), select(better, fit_low, low)

    store(results, SCALE, select(flat, zero, scale))
    store(results, MINIMUM, -low)
    store(results, FACTOR, select(flat, zero, factor))
    store(results, OFFSET, select(flat, zero, offset))


@inlined
def put_units(results: Any, first: int, sub_blocks: int, top: Any, out: Any, at: int) -> Any:
    """Write a block's own scale and minimum as two halves; its largest become ``top`` (a float32) of them.

    Returns:
        Multipliers for rounding the scales and the minimums of its sub-blocks, from lane ``first`` on, and
        the values of the two halves.
    """
    most, deepest = np.float32(0), np.float32(0)
    for lane in range(first, first + sub_blocks):
        if results[SCALE + lane] > most:
            most = results[SCALE + lane]
        if results[MINIMUM + lane] > deepest:
            deepest = results[MINIMUM + lane]
    by_scale = top / most if most > 0 else np.float32(0)
    by_minimum = top / deepest if deepest > 0 else np.float32(0)
    scale, minimum = to_half(np.float32(most / top)), to_half(np.float32(deepest / top))
    put_half(out, at, scale)
    put_half(out, at + 2, minimum)
    return by_scale, by_minimum, from_half(scale), from_half(minimum)
