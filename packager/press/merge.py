"""The arithmetic of a merge, defined to the last bit and the same on every machine.

A merged weight is ``round(W + scale * (B @ A))``. A matrix product's last bits depend on the order of
its additions, so the order is fixed here: rank by rank, each product added without intermediate rounding
(fused multiply-add), the sum rounded to float32. torch's and numpy's BLAS do the same on current x86 CPUs
(measured for ranks up to 128), so the result equals ``peft``'s merge bit for bit.

Two implementations give the same bits: compiled code (``merge_compiled``) for models, and numpy, several
times slower but without a compiler, for small jobs and as a fallback where numba does not work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from starfreight.packager.press.kernels import Floats

Wide = npt.NDArray[np.float64]

SMALL_JOB = 1 << 24
"""Number of weights below which numpy finishes before the compiled code is even loaded."""

_TILE = 32 * 1024
"""Elements processed at a time, few enough to stay in a core's cache."""

_BELOW_FLOAT32 = np.int64((1 << 29) - 1)
_HALF = np.int64(1 << 28)
_SMALLEST = float(np.finfo(np.float32).tiny)

_fast: Callable[..., Any] | None = None
_preparing = threading.Lock()


@dataclass(frozen=True)
class LowRank:
    """An update ``scale * left @ right`` of a matrix.

    Attributes:
        left: shape (rows, rank).
        right: shape (rank, columns).
        scale: the adapter's scaling factor.
    """

    left: Floats
    right: Floats
    scale: np.float32


def low_rank(left: Floats, right: Floats, scale: float) -> LowRank:
    """Make a :class:`LowRank` from its factors."""
    return LowRank(
        np.ascontiguousarray(left, dtype=np.float32),
        np.ascontiguousarray(right, dtype=np.float32),
        np.float32(scale),
    )


def prepare(elements: int) -> str | None:
    """Load the compiled code, if there are enough weights to merge for it to pay off.

    Returns:
        The reason for using the slow implementation on a large model, if it must be used.
    """
    global _fast
    if elements < SMALL_JOB:
        return None
    with _preparing:
        if _fast is None:
            try:
                from starfreight.packager.press.merge_compiled import add_low_rank

                _check(add_low_rank)
                _fast = add_low_rank
            except Exception as error:
                return f"The adapter is merged by the slow implementation: numba fails here ({error})."
        return None


def add_update(values: Floats, update: LowRank, start: int) -> None:
    """Add the rows of an update belonging to ``values``, in place.

    Args:
        values: shape (rows, columns), contiguous: rows of the weight from ``start`` on.
        update: of the whole weight.
        start: the first row.
    """
    left = update.left[start : start + len(values)]
    (_fast or add_low_rank_in_numpy)(values, left, update.right, update.scale)


def add_low_rank_in_numpy(values: Floats, left: Floats, right: Floats, scale: np.float32) -> None:
    """``values += scale * left @ right`` with the order of additions and the roundings described above."""
    rows, columns = values.shape
    left_wide, right_wide = left.astype(np.float64), right.astype(np.float64)
    step = max(1, _TILE // columns)
    product, exact = (np.empty((min(step, rows), columns), dtype=np.float64) for _ in range(2))
    total = np.empty((min(step, rows), columns), dtype=np.float32)
    for top in range(0, rows, step):
        count = min(step, rows - top)
        part = slice(0, count)
        total[part] = 0
        for rank in range(len(right)):
            # A product of two float32 is exact in float64; only the sum is rounded.
            np.multiply(left_wide[top : top + count, rank, None], right_wide[rank], out=product[part])
            np.add(product[part], total[part], out=exact[part])
            _round_once(exact[part], product[part], total[part])
            total[part] = exact[part]
        total[part] *= scale
        values[top : top + count] += total[part]


def _round_once(exact: Wide, one: Wide, other: Floats) -> None:
    """Adjust the sums ``one + other`` so their conversion to float32 is equivalent to a single rounding.

    A sum that float64 rounded to the midpoint between two float32 could go to the wrong one in the second
    step; so could a sum in the subnormal range. Such sums get an odd last bit, which marks them as inexact.
    """
    doubtful = (exact.view(np.int64) & _BELOW_FLOAT32) == _HALF
    small = np.abs(exact) < _SMALLEST
    if not doubtful.any() and not small.any():
        return
    doubtful |= small & (exact != 0)
    sums, one, wide = exact[doubtful], one[doubtful], other[doubtful].astype(np.float64)
    back = sums - one
    error = (one - (sums - back)) + (wide - back)
    bits = sums.view(np.int64)
    odd = np.where(np.signbit(error) == np.signbit(sums), bits, bits - 1) | 1
    exact[doubtful] = np.where(error == 0, sums, odd.view(np.float64))


def _check(kernel: Callable[..., Any]) -> None:
    """Compare compiled code with numpy on this machine."""
    random = np.random.default_rng(7)
    values = random.standard_normal((5, 601), dtype=np.float32)
    left = random.standard_normal((5, 7), dtype=np.float32)
    right = random.standard_normal((7, 601), dtype=np.float32)
    expected = values.copy()
    add_low_rank_in_numpy(expected, left, right, np.float32(0.3))
    kernel(values, left, right, np.float32(0.3))
    if not np.array_equal(values, expected):
        raise ArithmeticError("it does not give the same numbers")
