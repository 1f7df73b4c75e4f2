"""Weights through NF4 with double quantisation and back, as in QLoRA training, without torch.

The numbers equal those of ``quantize_4bit`` and ``dequantize_4bit`` in bitsandbytes 0.50.2 on a CPU, bit for
bit: blocks of 64 weights of the flattened tensor, each scaled by its largest magnitude; the magnitudes minus
their mean in 8 bits, in blocks of 256 (``backends/default/ops.py``, ``csrc/cpu_ops.cpp``).

Two limits. The mean's last bit depends on the order of additions; here it is torch's with one thread on x86.
And for rows that are not whole blocks, bitsandbytes 0.50.2 reads wrong scales on CPUs with AVX-512; the
scales here are correct, as on its other code paths. No StarCoder has such rows.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt

from starfreight.packager.press.kernels import Floats

BLOCK = 64
"""Weights sharing a scale."""

_SCALES_BLOCK = 256
"""Scales sharing a scale of their own."""

_LEVELS = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
        0.7229568362236023, 1.0,
    ],
    dtype=np.float32,
)  # fmt: skip
"""The 16 values of NF4 (Dettmers et al. 2023, appendix E)."""

_BOUNDS = (_LEVELS[:-1] + _LEVELS[1:]) / np.float32(2)
_SMALLEST = np.float32(1e-38)
_TILE = 1 << 15


class Nf4Scales:
    """The scales of one tensor, available once every part of it has been processed.

    Args:
        parts: the largest magnitudes of the tensor's blocks (:func:`block_maxima`), part by part.
    """

    def __init__(self, parts: Sequence[Future[Floats]]) -> None:
        self._parts: Sequence[Future[Floats]] = parts
        self._lock = threading.Lock()
        self._found: tuple[Floats, Floats] | None = None

    def of(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Divisors of blocks ``start`` to ``stop``, and their multipliers on the way back."""
        with self._lock:
            if self._found is None:
                maxima = np.concatenate([part.result() for part in self._parts])
                self._found, self._parts = (maxima, double_quantised(maxima)), ()
        maxima, back = self._found
        return maxima[start:stop], back[start:stop]


def block_maxima(values: Floats) -> Floats:
    """The largest magnitude of each block of flat ``values``; the last block may be short."""
    whole = len(values) // BLOCK * BLOCK
    maxima: Floats = np.abs(values[:whole].reshape(-1, BLOCK)).max(axis=1, initial=0)
    if whole == len(values):
        return maxima
    return np.append(maxima, np.maximum(np.abs(values[whole:]).max(), _SMALLEST))


def round_trip(values: Floats, scales: Nf4Scales, first: int) -> Floats:
    """Flat float32 weights through NF4 and back, before rounding to the dtype they were loaded in.

    Args:
        values: whole blocks, except the tensor's last one.
        scales: of the whole tensor.
        first: number of the first block.
    """
    maxima, back = scales.of(first, first + -(-len(values) // BLOCK))
    result = np.empty_like(values)
    whole = len(values) // BLOCK
    factors: Floats = np.reciprocal(np.maximum(maxima[:whole], _SMALLEST))
    step = _TILE // BLOCK
    for top in range(0, whole, step):
        bottom = min(top + step, whole)
        part = values[top * BLOCK : bottom * BLOCK].reshape(-1, BLOCK)
        levels = _nearest(part * factors[top:bottom, None])
        np.multiply(
            levels, back[top:bottom, None], out=result[top * BLOCK : bottom * BLOCK].reshape(-1, BLOCK)
        )
    if whole < len(maxima):
        last: Floats = values[whole * BLOCK :] / maxima[whole]
        result[whole * BLOCK :] = _nearest(last) * back[whole]
    return result


def double_quantised(maxima: Floats) -> Floats:
    """A tensor's scales after a round trip through 8 bits."""
    offset = _sum(maxima) / np.float32(len(maxima))
    padded = np.zeros(-(-len(maxima) // _SCALES_BLOCK) * _SCALES_BLOCK, dtype=np.float32)
    padded[: len(maxima)] = maxima - offset
    blocks = padded.reshape(-1, _SCALES_BLOCK)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", over="ignore"):
        factors = np.float32(1) / largest
    # Differences too small to divide by count as zero.
    some = np.isfinite(factors)
    scaled = np.clip(blocks * np.where(some, factors, np.float32(1)), -1, 1)
    values, nearest = _eight_bits()
    places = (scaled + np.float32(1)) * np.float32(0.5) * np.float32(65535) + np.float32(0.5)
    codes = np.where(some, nearest[places.astype(np.uint16)], np.uint8(0))
    back: Floats = (values[codes] * largest).reshape(-1)[: len(maxima)] + offset
    return back


def _nearest(scaled: Floats) -> Floats:
    """The NF4 level nearest to each number between -1 and 1; ties go to the lower one."""
    counts = np.zeros(scaled.shape, dtype=np.uint8)
    for bound in _BOUNDS:
        counts += scaled > bound
    return _LEVELS[counts]


@functools.cache
def _eight_bits() -> tuple[Floats, npt.NDArray[np.uint8]]:
    """The 256 values of bitsandbytes' dynamic map, and the nearest one to each of 65,536 positions."""
    values = [np.float32(0), np.float32(1)]
    for exponent in range(7):
        count = 2**exponent + 1
        start, end = float(np.float32(0.1)), 1.0
        step = float((np.float32(end) - np.float32(start)) / np.float32(count - 1))
        number = np.arange(count)
        # torch.linspace counts from both ends, and rounds once.
        bounds = np.where(
            number < count // 2, start + step * number, end - step * (count - 1 - number)
        ).astype(np.float32)
        means = np.float32(10.0 ** (exponent - 6)) * ((bounds[:-1] + bounds[1:]) / np.float32(2))
        values += [*means, *-means]
    code = np.sort(np.array(values, dtype=np.float32))
    places = np.float32(-1) + np.arange(0, 131072, 2, dtype=np.float32) / np.float32(65535)
    middles = np.float32(0.5) * (code[:-1] + code[1:])
    return code, np.searchsorted(middles, places).astype(np.uint8)


def _sum(values: Floats) -> np.float32:
    """The sum in torch's order of additions on one thread (``aten/src/ATen/native/cpu/SumKernel.cpp``).

    The 8 lanes of four vectors side by side are added separately; long sums cascade through four levels.
    """
    lanes = 8 if len(values) >= 8 else 1
    vectors = len(values) // lanes
    rows = vectors // 4
    table = values[: rows * 4 * lanes].reshape(rows, 4 * lanes)
    power = max(4, (rows - 1).bit_length() // 4) if rows > 1 else 4
    step = 1 << power
    runs = rows // step
    sums = np.zeros((runs, 4 * lanes), dtype=np.float32)
    for row in range(step):
        sums += table[: runs * step].reshape(runs, step, 4 * lanes)[:, row]
    levels = np.zeros((4, 4 * lanes), dtype=np.float32)
    for run in range(runs):
        levels[0] = sums[run]
        for level in range(1, 4):
            levels[level] += levels[level - 1]
            levels[level - 1] = 0
            if (run + 1) * step & (step - 1) << level * power:
                break
    for row in range(runs * step, rows):
        levels[0] += table[row]
    for level in range(1, 4):
        levels[0] += levels[level]
    partial = levels[0].reshape(4, lanes)
    for vector in range(rows * 4, vectors):
        partial[0] += values[vector * lanes : (vector + 1) * lanes]
    for other in range(1, 4):
        partial[0] += partial[other]
    total = np.float32(0)
    for value in [*values[vectors * lanes :], *partial[0]]:
        total += value
    return total
