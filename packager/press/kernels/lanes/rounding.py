"""Rounding as in ggml: to the nearest integer by a large addend, and to half precision.

Like ggml's scalar code, nothing here checks the range of a number: for infinities and NaNs inside the
search, the result is whatever the bits give, here as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from starfreight.packager.press.kernels.lanes.operations import (
    between,
    bits,
    from_bits,
    inlined,
    select,
    splat,
)

_ADDEND = np.float32(12582912)
"""1.5 times 2 to the 23: a sum with it has no bits left for fractions."""

_FRACTION = np.int32(0x007FFFFF)
_ZERO = np.int32(0x00400000)
"""The fraction bits of :data:`_ADDEND` itself."""


@inlined
def nearest(vector: Any, low: Any, high: Any) -> Any:
    """Floats as the nearest integers, ties to even, clamped to ``low`` and ``high`` (integer vectors)."""
    return between(low, (bits(vector + splat(_ADDEND)) & splat(_FRACTION)) - splat(_ZERO), high)


@inlined
def nearest_small(vector: Any, low: Any, high: Any) -> Any:
    """The same for numbers below 2^22 in magnitude, with floats for bounds and result: fewer steps."""
    whole = (vector + splat(_ADDEND)) - splat(_ADDEND)
    whole = select(whole > low, whole, low)
    return select(whole < high, whole, high)


@inlined
def nearest_one(number: Any) -> Any:
    """One float32 as the nearest integer, an int64."""
    return (bits(np.float32(number + _ADDEND)) & _FRACTION) - _ZERO


@inlined
def to_half(number: Any) -> Any:
    """The bits of a float32 rounded to float16, to the nearest and ties to even."""
    whole = bits(number)
    sign = (whole >> 16) & 0x8000
    size = whole & 0x7FFFFFFF
    if size >= 0x47800000:  # 65536 and more, infinity, NaN
        return sign | (0x7E00 if size > 0x7F800000 else 0x7C00)
    if size < 0x38800000:  # less than the smallest normal half: a sum with 0.5 rounds at 2^-24
        return sign | (bits(np.float32(from_bits(np.int32(size)) + np.float32(0.5))) - 0x3F000000)
    # The exponents have another bias; the addition rounds the thirteen bits dropped.
    return sign | ((size + 0xFFF + ((size >> 13) & 1) - 0x38000000) >> 13)


@inlined
def from_half(half: Any) -> Any:
    """The float32 value of a float16's bits."""
    sign = np.float32(-1) if half & 0x8000 else np.float32(1)
    exponent, fraction = (half >> 10) & 31, half & 0x3FF
    if exponent == 0:
        return sign * (np.float32(fraction) * np.float32(2.0**-24))
    if exponent == 31:
        return sign * from_bits(np.int32(0x7F800000 | (fraction << 13)))
    return sign * from_bits(np.int32(((half & 0x7FFF) << 13) + 0x38000000))
