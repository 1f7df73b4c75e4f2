"""Choice of the kernel for a type: the fast one if it passed its check, else ggml's."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType

from starfreight.packager.press.kernels import ggml, lanes
from starfreight.packager.press.kernels.accelerator import Accelerator
from starfreight.packager.press.kernels.floats import Floats, to_bfloat16, to_float16
from starfreight.packager.press.kernels.sample import sample_numbers

SMALL_JOB = 1 << 24
"""Number of elements below which ggml finishes before a fast kernel is compiled."""

_FLOAT_TYPES = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16)

_fast: dict[GGMLQuantizationType, lanes.Kernel] = {}
_notes: dict[GGMLQuantizationType, str] = {}
_choosing = threading.Lock()


def prepare(kind: GGMLQuantizationType, elements: int | None = None) -> str | None:
    """Prepare the kernel of a type. Call it once per type, before threads use it.

    The fast kernel of a type is compiled, and checked against ggml's once per process; from then on
    :func:`encode` uses it. Both write the same bytes.

    Args:
        kind: the type.
        elements: number of elements to encode, if known: a few are not worth a compilation.

    Returns:
        The reason for using ggml's slow kernel instead of the fast one, if it must be used.

    Raises:
        ServiceError: ggml's kernels are not installed.
    """
    if kind in _FLOAT_TYPES:
        return None
    ggml.prepare(kind)
    if kind.name not in lanes.KERNELS or (elements is not None and elements < SMALL_JOB):
        return None
    with _choosing:
        if kind not in _fast and kind not in _notes:
            try:
                kernel = lanes.compiled(kind.name)
                _check(kernel, kind)
            except lanes.Unavailable as reason:
                _notes[kind] = f"{kind.name} is quantised by ggml's slow kernel: {reason}"
            else:
                _fast[kind] = kernel
        return _notes.get(kind)


def encode(
    values: Floats,
    kind: GGMLQuantizationType,
    weights: Floats | None = None,
    accelerator: Accelerator | None = None,
) -> memoryview | None:
    """Encode rows of float32 as the bytes of a type.

    Args:
        values: shape (rows, columns), contiguous, finite.
        kind: the type, prepared; columns must be whole blocks of it.
        weights: relative cost of an error in each column, float32 of shape (columns,); for types in
            :data:`~starfreight.packager.press.kernels.ggml.WEIGHTED` they select ggml's kernel.
        accelerator: a GPU that may do it.

    Returns:
        The bytes, or ``None`` if the numbers exceed the range of the type.
    """
    if kind == GGMLQuantizationType.F32:
        return _memory(values)
    if kind == GGMLQuantizationType.BF16:
        return _memory(to_bfloat16(values))
    if kind == GGMLQuantizationType.F16:
        halves = to_float16(values)
        return _memory(halves) if bool(np.isfinite(halves).all()) else None
    weighted = weights is not None and kind in ggml.WEIGHTED
    out = ggml.quantise(values, kind, weights) if weighted else quantise(values, kind, accelerator)
    return _memory(out) if ggml.is_valid(out, kind) else None


def quantise(
    values: Floats, kind: GGMLQuantizationType, accelerator: Accelerator | None = None
) -> ggml.Bytes:
    """Quantise rows of float32 to the bytes of a type; the scales are not checked and may be infinite."""
    out = accelerator.quantise(values, kind) if accelerator is not None else None
    if out is not None:
        return out
    kernel = _fast.get(kind)
    return ggml.quantise(values, kind) if kernel is None else _run(kernel, values, kind)


def _run(kernel: lanes.Kernel, values: Floats, kind: GGMLQuantizationType) -> ggml.Bytes:
    out = np.empty(ggml.quantised_size(values.size, kind), dtype=np.uint8)
    kernel(values.reshape(-1), out)
    return out


def _check(kernel: lanes.Kernel, kind: GGMLQuantizationType) -> None:
    """Compare a kernel's bytes with ggml's for numbers of several kinds."""
    values = sample_numbers()
    try:
        out = _run(kernel, values, kind)
    except Exception as error:
        raise lanes.Unavailable(f"the fast one fails ({type(error).__name__})") from error
    if not np.array_equal(out, ggml.quantise(values, kind)):
        raise lanes.Unavailable("the fast one does not give the same bytes on this machine")


def _memory(array: Any) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return memoryview(array.view(np.uint8).reshape(-1).data)
