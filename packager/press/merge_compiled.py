"""Addition of a low-rank update in compiled code: the same operations in the same order as in ``merge``.

Importing this module compiles the code or loads it from numba's cache, so import it only for models large
enough for that to pay off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

_WIDTH = 256
"""Columns processed at a time: their part of the right factor stays in a core's L1 cache."""

_ROW = types.float32[:, ::1]
_SIGNATURE = types.void(_ROW, _ROW, _ROW, types.float32)


def _fused_multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), emit


_fused: Any = intrinsic(_fused_multiply_add)


def _add_low_rank(values: Any, left: Any, right: Any, scale: Any) -> None:
    rows, columns = values.shape
    rank = right.shape[0]
    sums = np.empty(_WIDTH, dtype=np.float32)
    for first in range(0, columns, _WIDTH):
        width = min(_WIDTH, columns - first)
        total = sums[:width]
        for row in range(rows):
            total[:] = 0
            # Four ranks at a time: a sum is loaded and stored once for four additions.
            whole = rank // 4 * 4
            for k in range(0, whole, 4):
                a, b, c, d = left[row, k], left[row, k + 1], left[row, k + 2], left[row, k + 3]
                part_a = right[k, first : first + width]
                part_b = right[k + 1, first : first + width]
                part_c = right[k + 2, first : first + width]
                part_d = right[k + 3, first : first + width]
                for column in range(width):
                    total[column] = _fused(
                        d,
                        part_d[column],
                        _fused(
                            c,
                            part_c[column],
                            _fused(b, part_b[column], _fused(a, part_a[column], total[column])),
                        ),
                    )
            for k in range(whole, rank):
                a, part_a = left[row, k], right[k, first : first + width]
                for column in range(width):
                    total[column] = _fused(a, part_a[column], total[column])
            out = values[row, first : first + width]
            for column in range(width):
                out[column] += total[column] * scale


def _compiled() -> Any:
    try:
        return njit(_SIGNATURE, nogil=True, error_model="numpy", cache=True)(_add_low_rank)
    except Exception:
        # An unwritable, full or corrupt cache must not matter.
        return njit(_SIGNATURE, nogil=True, error_model="numpy")(_add_low_rank)


add_low_rank = _compiled()
