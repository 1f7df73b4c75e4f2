"""How fast the press's own kernels are, as a ratio to ggml's, and whether they write the same bytes.

    python benchmarks/kernels.py [TYPE ...] [--check BLOCKS]

Both run in turn on one core, so that a busy machine slows both. ``--check`` compares that many blocks of
256 numbers for each type, in all kinds of distributions, instead of measuring.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
from gguf import GGMLQuantizationType

from packager.press.kernels import Floats, ggml, lanes, prepare, quantise, round_to

ROUNDS, ROWS, COLUMNS = 40, 128, 2048


def main() -> None:
    """Measures, or compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "types", nargs="*", metavar="TYPE", default=sorted(lanes.KERNELS), help="Q4_K and so on"
    )
    parser.add_argument("--check", type=int, metavar="BLOCKS", help="compare so many blocks of each type")
    wanted = parser.parse_args()
    for name in wanted.types:
        kind = GGMLQuantizationType[name]
        note = prepare(kind)
        if note is not None:
            sys.exit(note)
        if wanted.check is None:
            measure(kind)
        else:
            check(kind, wanted.check)


def measure(kind: GGMLQuantizationType) -> None:
    """Prints how many numbers a second each kernel does on one core."""
    values = round_to(np.random.default_rng(1).standard_normal((ROWS, COLUMNS), dtype=np.float32), "BF16")
    ours, theirs = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        quantise(values, kind)
        between = time.perf_counter()
        ggml.quantise(values, kind)
        ours.append(between - began)
        theirs.append(time.perf_counter() - between)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    fast, slow = (values.size / min(times) / 1e6 for times in (ours, theirs))
    print(
        f"{kind.name}: {fast:.0f} million numbers a second, ggml {slow:.1f}; "
        f"ratio of the best {fast / slow:.1f}, median ratio {ratio:.1f}"
    )


def check(kind: GGMLQuantizationType, blocks: int) -> None:
    """Compares both kernels' bytes; ends the program if any differ."""
    done, seed = 0, 0
    while done < blocks:
        for label, values in distributions(seed):
            for variant in (values, round_to(values, "BF16")):
                if not np.array_equal(quantise(variant, kind), ggml.quantise(variant, kind)):
                    sys.exit(f"{kind.name}: other bytes for {label} numbers, seed {seed}")
                done += variant.size // 256
        seed += 1
    print(f"{kind.name}: {done} blocks, the same bytes")


def distributions(seed: int) -> list[tuple[str, Floats]]:
    """Numbers of all kinds, 37 rows of 256 each."""
    random = np.random.default_rng(seed)
    shape = (37, 256)
    normal = random.standard_normal(shape)
    uneven = np.repeat(np.exp(random.standard_normal((37, 16)) * 5), 16, axis=1)
    table = {
        "normal": normal * 0.02,
        "heavy-tailed": random.standard_t(2, shape) * 0.02,
        "very heavy-tailed": random.standard_cauchy(shape),
        "positive": np.abs(normal),
        "negative": -np.abs(normal),
        "shifted up": 5 + normal * 1e-3,
        "shifted down": -5 + normal * 1e-3,
        "barely below a constant": -5 + normal * 1e-7,
        "constant sub-blocks": np.repeat(random.standard_normal((37, 8)), 32, axis=1),
        "two-valued": np.where(normal > 0, -1e-3, -1e-3 - 1e-9 * np.abs(normal)),
        "sparse": np.where(random.random(shape) < 1 / 200, normal, 0),
        "whole": np.round(normal * 3),
        "uneven": normal * uneven,
        "uneven and tiny": normal * uneven * 1e-38,
        "tiny": normal * 1e-30,
        "denormal": normal * 1e-40,
        "about the least a half can hold": normal * uneven * 1e-6,
        "of all magnitudes": np.exp(normal * 20 - 20) * np.sign(random.standard_normal(shape)),
        "zero": np.zeros(shape),
    }
    return [(label, np.ascontiguousarray(numbers, dtype=np.float32)) for label, numbers in table.items()]


if __name__ == "__main__":
    main()
