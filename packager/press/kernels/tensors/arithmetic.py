"""Operations shared by all types: constants, ordered sums, rounding, and bytes."""

from __future__ import annotations

import torch
from torch import Tensor

_ADDEND = 12582912.0
"""1.5 times 2 to the 23: a sum with it has no bits left for fractions."""

_FRACTION, _ZERO = 0x007FFFFF, 0x00400000
"""Masks of the fraction bits of a float32, and the fraction bits of :data:`_ADDEND` itself."""

_INFINITY = float("inf")


def constant(number: float, like: Tensor) -> Tensor:
    """A float32 on a tensor's device: dividing by a plain number would multiply by its reciprocal."""
    return torch.full((), number, dtype=torch.float32, device=like.device)


def side_by_side(blocks: Tensor, items: int) -> Tensor:
    """Shape (items, sub-blocks): the first numbers of all sub-blocks, then the second, and so on."""
    return blocks.reshape(-1, items).t().contiguous()


def add_up(terms: Tensor, start: float = 0.0) -> Tensor:
    """Sum over the last dimension but one, one item after the other.

    Args:
        terms: shape (..., items, sub-blocks).
        start: added to the first item. Minus zero leaves it unchanged, including the sign of a zero.
    """
    total = torch.full_like(terms.select(-2, 0), start)
    for item in range(terms.shape[-2]):
        total += terms.select(-2, item)
    return total


def nearest_bits(numbers: Tensor) -> Tensor:
    """Round floats to the nearest integers, ties to even, in place.

    For numbers out of range, the result is whatever the bits of the sum give, as in ggml. NaNs count as zero:
    on x86 and ARM a NaN produced by arithmetic has only the first fraction bit set, which gives zero; on a
    GPU it has all of them.
    """
    numbers.nan_to_num_(nan=0.0, posinf=_INFINITY, neginf=-_INFINITY)
    return numbers.add_(_ADDEND).view(torch.int32).bitwise_and_(_FRACTION).sub_(_ZERO)


def nearest(numbers: Tensor, low: int, high: int) -> Tensor:
    """The same, clamped to ``low`` and ``high``."""
    return nearest_bits(numbers).clamp_(low, high)


def nearest_small(numbers: Tensor, low: int, high: int) -> Tensor:
    """The same for numbers below 2^22 in magnitude, with floats as the result: fewer steps."""
    return numbers.add_(_ADDEND).sub_(_ADDEND).clamp_(low, high)


def square_root(numbers: Tensor) -> Tensor:
    """Correctly rounded, unlike torch's own on a CPU: one in six differs in the last bit.

    Rounding the root of a double once more gives the right float32: no such root is close enough to the
    midpoint between two.
    """
    return numbers.to(torch.float64).sqrt_().to(torch.float32)


def to_half(numbers: Tensor) -> Tensor:
    """Rounded to float16, to the nearest and ties to even; too large ones become infinite."""
    return numbers.to(torch.float16)


def half_bytes(halves: Tensor) -> Tensor:
    """Shape (blocks, 1) of float16 as their two bytes, the low one first."""
    return halves.contiguous().view(torch.uint8)


def pack(fields: Tensor, bits: int) -> Tensor:
    """Pack small numbers into one byte: those of the second place above those of the first, and so on.

    Args:
        fields: shape (blocks, places, ...), int32, each below two to the ``bits``.
        bits: width of a field.

    Returns:
        Shape (blocks, ...), int32.
    """
    packed = fields[:, 0].clone()
    for place in range(1, fields.shape[1]):
        packed |= fields[:, place] << (place * bits)
    return packed


def joined(*parts: Tensor) -> Tensor:
    """Concatenate the parts of blocks as bytes: shape (blocks, bytes)."""
    return torch.cat([part.flatten(1).to(torch.uint8) for part in parts], dim=1)
