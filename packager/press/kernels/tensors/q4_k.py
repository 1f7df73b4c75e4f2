"""Q4_K (and Q5_K); see ``lanes.q4_k`` for the layout of their blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from starfreight.packager.press.kernels.tensors.affine import find_scale_and_minimum, round_scales, set_levels
from starfreight.packager.press.kernels.tensors.arithmetic import (
    add_up,
    constant,
    half_bytes,
    joined,
    pack,
    side_by_side,
    square_root,
)

_ITEMS, _SUB_BLOCKS = 32, 8


def quantise_blocks(blocks: Tensor, top: int, start: float, tries: int) -> Tensor:
    """Quantise blocks.

    Args:
        blocks: shape (blocks, 256), float32.
        top: the highest level: 15, or 31 for Q5_K.
        start: added to it by the search's first candidate.
        tries: candidates of the search.
    """
    x = side_by_side(blocks, _ITEMS)
    # Each number is weighed by its magnitude plus the root mean square of its sub-block.
    weights = square_root(add_up(x * x) / constant(_ITEMS, x)) + x.abs()
    found = find_scale_and_minimum(x, weights, top, start, tries, False)
    steps = round_scales(found, _SUB_BLOCKS, 63)
    scales, minimums = _six_bits(steps.scales), _six_bits(steps.minimums)
    levels = set_levels(
        blocks,
        found,
        steps.scale_unit.to(torch.float32) * scales,
        steps.minimum_unit.to(torch.float32) * minimums,
        top,
    )
    parts = [half_bytes(steps.scale_unit), half_bytes(steps.minimum_unit)]
    parts += [_with_upper_bits(scales), _with_upper_bits(minimums)]
    parts.append(scales[:, 4:] & 15 | (minimums[:, 4:] & 15) << 4)
    if top > 15:
        parts.append(pack(levels >> 4, 1))
    parts.append(pack((levels & 15).view(-1, 2, _ITEMS), 4).view(-1, 128))
    return joined(*parts)


def _six_bits(numbers: Tensor) -> Tensor:
    """Integers as stored by ggml: their low eight bits, clamped to 63."""
    return (numbers & 255).clamp_(max=63)


def _with_upper_bits(numbers: Tensor) -> Tensor:
    """The first four, six bits each, with the upper two bits of the last four above them."""
    return numbers[:, :4] | (numbers[:, 4:] >> 4) << 6


def quantise(blocks: Tensor) -> Tensor:
    """Shape (blocks, 256), float32, as (blocks, 144), uint8."""
    return quantise_blocks(blocks, 15, -1.0, 21)
