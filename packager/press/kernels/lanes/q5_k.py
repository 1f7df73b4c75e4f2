"""Q5_K: Q4_K with one more bit per level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from starfreight.packager.press.kernels.lanes.q4_k import quantise_blocks


def kernel(sources: int) -> Callable[[Any, Any], int]:
    """Make the kernel; it returns ``sources``.

    Its arguments: numbers (float32, whole blocks of 256), and the same number of blocks of 176 bytes.
    """

    def quantise(values: Any, out: Any) -> int:
        quantise_blocks(values, out, 31, np.float32(-0.5), 16, 176)
        return sources

    return quantise
