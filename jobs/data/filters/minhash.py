"""MinHash signatures: the share of equal values in two of them estimates the similarity of the texts.

Which texts a run leaves out depends on these values, so they never change. They follow from the words
(:mod:`starfreight.jobs.data.word_hashes`), shingles of five words as in The Stack, and 128 permutations of
32-bit numbers: scheme ``affine32`` of datasketch 2.0 with seed 1 (https://github.com/ekzhu/datasketch).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from starfreight.jobs.data.word_hashes import ngram_hashes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from starfreight.jobs.data.word_hashes import Hashes

PERMUTATIONS = 128
"""Values in a signature, of 32 bits each."""
SHINGLE = 5
"""Words in a shingle, as in the deduplication of The Stack (Kocetkov et al. 2022)."""
FEWEST_SHINGLES = 10
"""Shorter texts are not compared: a few lines of imports resemble many others."""
_BATCH = 512
"""Shingles hashed at once: a matrix of 256 KiB, which stays in the processor's cache."""


def signature(words: Hashes) -> bytes | None:
    """Return the MinHash signature of a text.

    Args:
        words: of the text, from :func:`starfreight.jobs.data.word_hashes.word_hashes`.

    Returns:
        128 values of 32 bits, little-endian; ``None`` for a text too short to compare.
    """
    import numpy as np

    shingles = ngram_hashes(words, SHINGLE)
    if len(shingles) < FEWEST_SHINGLES:
        return None
    values = _mixed((shingles >> np.uint64(32)).astype(np.uint32))
    factors, terms = _permutations()
    lowest = np.full(PERMUTATIONS, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(values), _BATCH):
        permuted = factors * values[start : start + _BATCH]
        permuted += terms
        np.minimum(lowest, permuted.min(axis=1), out=lowest)
    return lowest.astype("<u4").tobytes()


def _mixed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """MurmurHash3's finalizer for 32 bits."""
    import numpy as np

    values ^= values >> np.uint32(16)
    values *= np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    return values


@lru_cache(maxsize=1)
def _permutations() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The columns a and b of the permutations x -> a * x + b modulo 2**32; each a is odd."""
    import numpy as np

    # The streams of RandomState are frozen (NumPy Enhancement Proposal 19).
    random = np.random.RandomState(1)
    factors = random.randint(0, 1 << 31, (PERMUTATIONS, 1), dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, random.randint(0, 1 << 32, (PERMUTATIONS, 1), dtype=np.uint32)
