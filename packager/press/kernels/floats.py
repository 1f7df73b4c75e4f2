"""Rounding between floating-point types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def to_float32(stored: npt.NDArray[np.generic]) -> Floats:
    """Stored numbers as float32, without loss. uint16 means bfloat16."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.astype(np.float32)


def to_bfloat16(values: Floats) -> npt.NDArray[np.uint16]:
    """Finite numbers rounded to bfloat16, to the nearest and ties to even, as uint16."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + (odd + np.uint32(0x7FFF))) >> np.uint32(16)).astype(np.uint16)


def to_float16(values: Floats) -> npt.NDArray[np.float16]:
    """Numbers rounded to float16; those beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def round_to(values: Floats, dtype: str) -> Floats:
    """Float32 numbers rounded to ``F32``, ``F16`` or ``BF16`` and returned as float32."""
    if dtype == "BF16":
        return to_float32(to_bfloat16(values))
    if dtype == "F16":
        return to_float32(to_float16(values))
    return values
