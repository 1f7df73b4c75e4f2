"""MinHash signatures: texts whose signatures agree in 85% of their values are about 85% the same.

The values are part of what a run records, so everything that they depend on is said here: the words
(:mod:`starfreight.jobs.data.words`), runs of five of them as The Stack takes them, and `datasketch`'s
permutations ``affine32`` of seed 1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from starfreight.jobs.data.words import runs

if TYPE_CHECKING:
    from datasketch import MinHash

    from starfreight.jobs.data.words import Hashes

PERMUTATIONS = 128
"""Values in a signature, of 32 bits each."""
SHINGLE = 5
"""Words in a shingle, as in the deduplication of The Stack (Kocetkov et al. 2022)."""
FEWEST_SHINGLES = 10
"""Texts of fewer are not compared: a few lines of imports are like many others."""
_BATCH = 1024


def signature(words: Hashes) -> bytes | None:
    """The MinHash of a text.

    Args:
        words: of the text, from :func:`starfreight.jobs.data.words.word_hashes`.

    Returns:
        128 values of 32 bits, little-endian; ``None`` for a text too short to compare.
    """
    shingles = runs(words, SHINGLE)
    if len(shingles) < FEWEST_SHINGLES:
        return None
    sketch = _empty().copy()
    values = (shingles >> 32).tolist()
    for start in range(0, len(values), _BATCH):  # One batch is a matrix of 512 KiB.
        sketch.update_batch(values[start : start + _BATCH])
    found: bytes = sketch.hashvalues.astype("<u4").tobytes()
    return found


def _as_it_is(value: int) -> int:
    return value


@lru_cache(maxsize=1)
def _empty() -> MinHash:
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=_as_it_is, scheme="affine32")
