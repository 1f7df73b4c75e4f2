"""The search for a scale and a minimum (Q2_K, Q4_K and Q5_K); ``lanes.affine`` on tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from starfreight.packager.press.kernels.tensors.arithmetic import (
    add_up,
    constant,
    nearest,
    nearest_bits,
    to_half,
)


@dataclass(frozen=True)
class AffineFit:
    """The result of a search, one float per sub-block.

    Attributes:
        scale: the scale.
        minimum: the negated minimum, which is not negative.
        factor: with ``offset`` gives the levels found: ``nearest(factor * (x - offset))``.
        offset: see ``factor``.
    """

    scale: Tensor
    minimum: Tensor
    factor: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Steps:
    """A block's scales and minimums as written.

    Attributes:
        scales: integers before clamping, shape (blocks, sub-blocks).
        minimums: the same.
        scale_unit: the float16 unit of the scales, shape (blocks, 1).
        minimum_unit: the same for the minimums.
    """

    scales: Tensor
    minimums: Tensor
    scale_unit: Tensor
    minimum_unit: Tensor


def find_scale_and_minimum(
    x: Tensor, weights: Tensor, top: int, start: float, tries: int, absolute: bool
) -> AffineFit:
    """Find the scale and the minimum with the least weighted error.

    Each candidate depends on the minimum kept by the one before it, so they run one by one.

    Args:
        x: the numbers, shape (items, sub-blocks).
        weights: weight of each number, the same.
        top: the highest level.
        start: added to ``top`` by the first candidate; each one adds 0.1 more.
        tries: candidates after the first guess.
        absolute: true to sum distances instead of squares.
    """
    zero, ceiling = constant(0, x), constant(top, x)
    # The sign of a zero as minimum or maximum does not affect the bytes.
    low, high = torch.minimum(x.amin(0), zero), x.amax(0)
    sum_w, sum_x = add_up(weights, -0.0), add_up(weights * x, -0.0)
    flat = high == low

    factor, offset = ceiling / (high - low), low
    scale = constant(1, x) / factor
    scratch, levels = torch.empty_like(x), torch.empty_like(x)
    products = x.new_empty((3, *x.shape))

    def set_levels(factor: Tensor) -> None:
        torch.sub(x, low, out=scratch)
        levels.copy_(nearest(scratch.mul_(factor), 0, top))

    def error(scale: Tensor, low: Tensor) -> Tensor:
        torch.mul(levels, scale, out=scratch).add_(low).sub_(x)
        scratch.abs_() if absolute else scratch.mul_(scratch)
        return add_up(scratch.mul_(weights))

    set_levels(factor)
    least = error(scale, low)
    for step in range(tries):
        stretch = np.float32(np.float32(start) + np.float32(0.1) * np.float32(step)) + np.float32(top)
        trial = constant(float(stretch), x) / (high - low)
        set_levels(trial)
        torch.mul(weights, levels, out=products[0])
        torch.mul(products[0], levels, out=products[1])
        torch.mul(products[0], x, out=products[2])
        sum_l, sum_l2, sum_xl = add_up(products)
        determinant = sum_w * sum_l2 - sum_l * sum_l
        fit_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        fit_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        above = fit_low > zero
        fit_scale = torch.where(above, sum_xl / sum_l2, fit_scale)
        fit_low = torch.where(above, zero, fit_low)
        left = error(fit_scale, fit_low)
        better = (determinant > zero) & (left < least)
        factor, offset = torch.where(better, trial, factor), torch.where(better, low, offset)
        least = torch.where(better, left, least)
        scale, low = torch.where(better, fit_scale, scale), torch.where(better, fit_low, low)
    return AffineFit(
        torch.where(flat, zero, scale),
        -low,
        torch.where(flat, zero, factor),
        torch.where(flat, zero, offset),
    )


def round_scales(found: AffineFit, sub_blocks: int, top: int) -> Steps:
    """Round scales and minimums to multiples of a unit; the block's largest becomes ``top``."""
    scales, scale_unit = _multiples(found.scale.view(-1, sub_blocks), top)
    minimums, minimum_unit = _multiples(found.minimum.view(-1, sub_blocks), top)
    return Steps(scales, minimums, scale_unit, minimum_unit)


def _multiples(numbers: Tensor, top: int) -> tuple[Tensor, Tensor]:
    zero, ceiling = constant(0, numbers), constant(top, numbers)
    # A NaN is never the largest.
    most = torch.where(numbers > zero, numbers, zero).amax(1, keepdim=True)
    inverse = torch.where(most > zero, ceiling / most, zero)
    return nearest_bits(inverse * numbers), to_half(most / ceiling)


def set_levels(blocks: Tensor, found: AffineFit, scales: Tensor, minimums: Tensor, top: int) -> Tensor:
    """The levels by the rounded scales and minimums, or the search's where a scale is zero.

    Args:
        blocks: the numbers, shape (blocks, 256).
        found: result of the search.
        scales: values of the rounded scales, shape (blocks, sub-blocks), float32.
        minimums: the same.
        top: the highest level.

    Returns:
        Shape (blocks, sub-blocks, items), int32.
    """
    values = blocks.view(*scales.shape, -1)
    scales, minimums = scales.unsqueeze(2), minimums.unsqueeze(2)
    offset, factor = found.offset.view_as(scales), found.factor.view_as(scales)
    levels = nearest((values + minimums) / scales, 0, top)
    search = nearest((values - offset) * factor, 0, top)
    return torch.where(scales == constant(0, blocks), search, levels)
