"""The arithmetic of a merge, defined to the last bit and the same on every machine.

A merged weight is ``round(W + scale * (B @ A))``. A matrix product's last bits depend on the order of
its additions, so that order is fixed here: rank by rank, each product added without being rounded first
(fused multiply-add), the sum rounded to float32. torch's and numpy's BLAS do the same on current x86 CPUs
(measured for ranks up to 128), so that the result equals ``peft``'s merge bit for bit. Here it is spelled
out in float64, in which a product of two float32 is exact, and so does not depend on a BLAS at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_TILE = 48 * 1024
"""Elements worked on at a time, few enough to stay in a core's cache."""


@dataclass(frozen=True)
class LowRank:
    """An update ``scale * left @ right`` of a matrix.

    Attributes:
        left: shape (rows, rank), float64 that holds float32 numbers.
        right: shape (rank, columns), the same.
        scale: the adapter's scaling factor.
    """

    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    scale: np.float32


def low_rank(left: Floats, right: Floats, scale: float) -> LowRank:
    """Makes a :class:`LowRank` of float32 factors."""
    return LowRank(
        np.ascontiguousarray(left, dtype=np.float64),
        np.ascontiguousarray(right, dtype=np.float64),
        np.float32(scale),
    )


def add_update(values: Floats, update: LowRank, start: int) -> None:
    """Adds the rows of an update that belong to ``values``, in place.

    Args:
        values: shape (rows, columns): rows ``start`` and on of the weight.
        update: of the whole weight.
        start: the first row.
    """
    rows, columns = values.shape
    step = max(1, _TILE // columns)
    wide = np.empty((min(step, rows), columns), dtype=np.float64)
    sums = np.empty((min(step, rows), columns), dtype=np.float32)
    for top in range(0, rows, step):
        bottom = min(top + step, rows)
        product, total = wide[: bottom - top], sums[: bottom - top]
        total[...] = 0
        for rank in range(update.right.shape[0]):
            np.multiply(
                update.left[start + top : start + bottom, rank, None], update.right[rank], out=product
            )
            product += total
            total[...] = product
        total *= update.scale
        values[top:bottom] += total
