"""Texts as 64-bit hashes of their words and of their n-grams, for comparing them.

The hashes are computed from the bytes of UTF-8, so that they are the same on any machine and with any
version of Unicode. A word is a run of ASCII letters, digits and ``_``, in either case, and of characters
outside ASCII; each character of three bytes or more (Chinese, Thai) starts a word of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

_IN_WORD = 0x9E3779B97F4A7C15  # The odd multipliers of splitmix64 and of MurmurHash3's finalizer.
_IN_NGRAM = 0xC2B2AE3D27D4EB4F
_MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
_LONGEST = 256
"""Number of significant letters of a word; the rest of a longer word is ignored."""


def word_hashes(text: str) -> Hashes:
    """Return one hash per word, in order; case, punctuation and white space do not count."""
    import numpy as np

    letters, powers = _tables()
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    values = letters[codes]
    inside = values != 0
    before = np.zeros_like(inside)
    before[1:] = inside[:-1]
    starts = np.flatnonzero(inside & (~before | (codes >= 0xE0)))
    if not len(starts):
        return np.zeros(0, dtype=np.uint64)
    # The position of each byte in its word; separators add nothing, since their value is 0.
    position = np.arange(len(codes), dtype=np.int64)
    bounds = np.concatenate(([0], starts))
    position -= np.repeat(bounds, np.diff(np.concatenate((bounds, [len(codes)]))))
    np.minimum(position, _LONGEST, out=position)
    return _mixed(np.add.reduceat(values * powers[position], starts))


def ngram_hashes(words: Hashes, length: int) -> Hashes:
    """Return one hash per n-gram of ``length`` words, in order; none for a shorter text."""
    import numpy as np

    count = len(words) - length + 1
    if count < 1:
        return np.zeros(0, dtype=np.uint64)
    total = np.zeros(count, dtype=np.uint64)
    for position in range(length):
        total *= np.uint64(_IN_NGRAM)
        total += words[position : position + count]
    return _mixed(total)


def _mixed(values: Hashes) -> Hashes:
    import numpy as np

    for factor in _MIX:
        values ^= values >> np.uint64(33)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(33)
    return values


@lru_cache(maxsize=1)
def _tables() -> tuple[Any, Any]:
    """The value of each byte (0 between words) and the multiplier of each position in a word."""
    import numpy as np

    letters = np.zeros(256, dtype=np.uint64)
    for code in (*b"0123456789_abcdefghijklmnopqrstuvwxyz", *range(0x80, 0x100)):
        letters[code] = code + 1
    letters[ord("A") : ord("Z") + 1] = letters[ord("a") : ord("z") + 1]
    powers = [1]
    for _ in range(_LONGEST - 1):
        powers.append(powers[-1] * _IN_WORD % 2**64)
    return letters, np.array([*powers, 0], dtype=np.uint64)
