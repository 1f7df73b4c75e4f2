"""Packing of examples into blocks, by their lengths alone."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def best_fit(lengths: NDArray[np.uint32], length: int, seed: int) -> tuple[NDArray[np.int64], int]:
    """Pack by best fit, longest first: each example goes into the fullest block that has room for it.

    All examples of one length are placed together, which gives the same blocks as placing them one by one:
    the fullest blocks with room for one are filled until they have none. So the work grows with the number
    of different lengths rather than that of examples: O(n log n) for sorting, and at most about ``length``
    log ``length`` steps for placing.

    Args:
        lengths: tokens of each example, at most ``length``.
        length: tokens of a block.
        seed: decides the order of examples of equal length.

    Returns:
        the block of each example, and the number of blocks.
    """
    import numpy as np

    order = np.lexsort((scramble(len(lengths), seed), -lengths.astype(np.int64)))
    sizes, counts = np.unique(lengths, return_counts=True)
    ends = np.cumsum(counts[::-1]).tolist()
    block_of = np.empty(len(lengths), dtype=np.int64)
    rooms = _Rooms()
    count = 0
    for size, start, end in zip(sizes[::-1].tolist(), [0, *ends], ends, strict=False):
        while start < end:
            room, blocks = rooms.take(size)
            each = room // size
            if not len(blocks):  # No block has room.
                each = length // size
                blocks = np.arange(count, count + -(-(end - start) // each))
                room, count = length, count + len(blocks)
            used = min(len(blocks), -(-(end - start) // each))
            placed = min(used * each, end - start)
            block_of[order[start : start + placed]] = np.repeat(blocks[:used], each)[:placed]
            full = placed // each
            rooms.give(room - each * size, blocks[:full])
            rooms.give(room - (placed % each) * size, blocks[full:used])
            rooms.give(room, blocks[used:])
            start += placed
    return block_of, count


class _Rooms:
    """Blocks by the room left in them, in tokens."""

    def __init__(self) -> None:
        self._blocks: dict[int, list[NDArray[np.int64]]] = {}
        self._sorted: list[int] = []

    def take(self, size: int) -> tuple[int, NDArray[np.int64]]:
        """Remove the fullest blocks with room for ``size`` tokens; return their room (0 if none) and them."""
        import numpy as np

        place = bisect.bisect_left(self._sorted, size)
        if place == len(self._sorted):
            return 0, np.zeros(0, np.int64)
        room = self._sorted.pop(place)
        return room, np.concatenate(self._blocks.pop(room))

    def give(self, room: int, blocks: NDArray[np.int64]) -> None:
        """Add blocks, ignoring full ones."""
        if not len(blocks) or not room:
            return
        if room not in self._blocks:
            self._blocks[room] = []
            bisect.insort(self._sorted, room)
        self._blocks[room].append(blocks)


def scramble(count: int, seed: int) -> NDArray[np.uint64]:
    """Return ``count`` numbers to shuffle by: SplitMix64 (Steele et al. 2014), the same with any numpy."""
    import numpy as np

    with np.errstate(over="ignore"):
        x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
