"""MinHash signatures against datasketch with the same permutations: equal bytes, and the ratio of CPU time.

    pip install datasketch==2.0.0
    python benchmarks/minhash.py                   # the modules of the standard library
    python benchmarks/minhash.py --folder ~/src

The two run in turn, and the least of several times counts, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starfreight.jobs.data.filters.minhash import FEWEST_SHINGLES, PERMUTATIONS, SHINGLE, signature
from starfreight.jobs.data.word_hashes import ngram_hashes, word_hashes

ROUNDS = 7
BATCH = 1024


def make_peer() -> Callable[[Any], bytes | None]:
    """Return the signature by datasketch."""
    from datasketch import MinHash

    empty = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=lambda value: value, scheme="affine32")

    def peer(words: Any) -> bytes | None:
        shingles = ngram_hashes(words, SHINGLE)
        if len(shingles) < FEWEST_SHINGLES:
            return None
        sketch = empty.copy()
        values = (shingles >> 32).tolist()
        for start in range(0, len(values), BATCH):
            sketch.update_batch(values[start : start + BATCH])
        value: bytes = sketch.hashvalues.astype("<u4").tobytes()
        return value

    return peer


def seconds(make: Callable[[Any], bytes | None], texts: list[Any]) -> float:
    """Return the CPU time for the signatures of all texts."""
    began = time.process_time()
    for words in texts:
        make(words)
    return time.process_time() - began


def main() -> None:
    """Compare the signatures and print the times and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_path("stdlib")))
    paths = sorted(parser.parse_args().folder.glob("*.py"))
    texts = [word_hashes(path.read_text(encoding="utf-8", errors="replace")) for path in paths]
    began = time.perf_counter()
    peer = make_peer()
    loading = time.perf_counter() - began
    different = [path for path, words in zip(paths, texts, strict=True) if signature(words) != peer(words)]
    if different:
        raise SystemExit(f"other signatures: {different}")
    pairs = [(seconds(signature, texts), seconds(peer, texts)) for _ in range(ROUNDS)]
    ours, theirs = (min(column) for column in zip(*pairs, strict=True))
    print(f"{len(texts)} files, equal signatures")
    print(f"ours        {ours:.3f} s")
    print(f"datasketch  {theirs:.3f} s, and {loading:.2f} s to import it in each process")
    print(f"ratio       {theirs / ours:.1f} times as fast")


if __name__ == "__main__":
    main()
