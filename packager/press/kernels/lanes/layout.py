"""Transposition between sequential and side-by-side numbers, and the bytes of halves."""

from __future__ import annotations

from typing import Any

import numpy as np

from starfreight.packager.press.kernels.lanes.operations import TILE, inlined, transpose
from starfreight.packager.press.kernels.lanes.vectors import LANES

BLOCK = 256
"""Numbers in a block of every type here."""

_LINE = 16
"""Numbers in a cache line. Loading a vector across two lines costs twice."""


@inlined
def side_by_side(values: Any, start: int, count: int, numbers: Any, x: Any, items: int) -> None:
    """Lay sub-blocks side by side, one in each lane.

    Args:
        values: all numbers.
        start: index of the first number.
        count: how many; if they do not fill all lanes, the rest keeps its content.
        numbers: scratch, enough for all lanes.
        x: receives the first numbers of all sub-blocks, then the second, and so on.
        items: numbers in a sub-block.
    """
    for item in range(count):
        numbers[item] = values[start + item]
    for lane in range(0, LANES, TILE):
        for item in range(0, items, TILE):
            transpose(numbers, lane * items + item, items, x, item * LANES + lane)


@inlined
def scratch(items: int) -> Any:
    """An array of one number per item and lane, zeroed, aligned to a cache line."""
    room = np.zeros(items * LANES + _LINE, dtype=np.float32)
    skipped = -(room.ctypes.data // 4) % _LINE
    return room[skipped : skipped + items * LANES]


@inlined
def put_half(out: Any, at: int, half: Any) -> None:
    """Write the two bytes of a float16's bits, the low one first."""
    out[at] = half & 0xFF
    out[at + 1] = half >> 8
