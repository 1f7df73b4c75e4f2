"""Speed of the press's own kernels as a ratio to ggml's, and equality of their bytes.

    python benchmarks/kernels.py [TYPE ...] [--check BLOCKS] [--device cuda|cpu]

Both run in turn on one core, so that a busy machine slows both. ``--check`` compares the given number of
blocks of 256 numbers for each type, from many distributions, instead of measuring. ``--device`` also measures
or compares the kernels for a GPU on that torch device, including the transfers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
from gguf import GGMLQuantizationType

from starfreight.packager.press.chunks import ACCELERATED_ELEMENTS
from starfreight.packager.press.kernels import Floats, ggml, lanes, prepare, quantise, round_to
from starfreight.packager.press.kernels.tensors import encode_tensors

ROUNDS, ROWS, COLUMNS = 40, 128, 2048
DEVICE_ROUNDS = 5


def main() -> None:
    """Measures, or compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "types",
        nargs="*",
        metavar="TYPE",
        default=sorted(lanes.KERNELS),
        help="types such as Q4_K (default: all)",
    )
    parser.add_argument(
        "--check", type=int, metavar="BLOCKS", help="compare this number of blocks of each type"
    )
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], help="also run the kernels for a GPU, on this device"
    )
    wanted = parser.parse_args()
    for name in wanted.types:
        kind = GGMLQuantizationType[name]
        note = prepare(kind)
        if note is not None:
            sys.exit(note)
        if wanted.check is None:
            measure(kind, wanted.device)
        else:
            check(kind, wanted.check, wanted.device)


def measure(kind: GGMLQuantizationType, device: str | None) -> None:
    """Prints each kernel's speed in numbers per second, on one core and on the device if given."""
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
    if device is not None:
        measure_device(kind, device, slow)


def measure_device(kind: GGMLQuantizationType, device: str, slow: float) -> None:
    """Prints the device's speed in numbers per second, in pieces of the press's size."""
    values = np.random.default_rng(1).standard_normal((ACCELERATED_ELEMENTS // COLUMNS, COLUMNS))
    piece = round_to(values.astype(np.float32), "BF16")
    times = []
    for _ in range(DEVICE_ROUNDS + 1):
        began = time.perf_counter()
        encode_tensors(piece, kind.name, device)
        times.append(time.perf_counter() - began)
    rate = piece.size / min(times[1:]) / 1e6  # The first run prepares the device.
    print(
        f"{kind.name} on {device}: {rate:.0f} million numbers a second, {rate / slow:.1f} times ggml's core"
    )


def check(kind: GGMLQuantizationType, blocks: int, device: str | None) -> None:
    """Compares the kernels' bytes; exits if any differ."""
    done, seed = 0, 0
    while done < blocks:
        for label, values in distributions(seed):
            for variant in (values, round_to(values, "BF16")):
                expected = ggml.quantise(variant, kind)
                if not np.array_equal(quantise(variant, kind), expected):
                    sys.exit(f"{kind.name}: other bytes for {label} numbers, seed {seed}")
                if device and not np.array_equal(encode_tensors(variant, kind.name, device), expected):
                    sys.exit(f"{kind.name} on {device}: other bytes for {label} numbers, seed {seed}")
                done += variant.size // 256
        seed += 1
    print(f"{kind.name}: {done} blocks, the same bytes")


def distributions(seed: int) -> list[tuple[str, Floats]]:
    """Numbers from many distributions, 37 rows of 256 each."""
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
