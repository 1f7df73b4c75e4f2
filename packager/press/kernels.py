"""Numbers to bytes: ggml's own quantisation kernels, and the rounding between float types.

The kernels are those of the prebuilt ``libggml-base`` in the package libggml-python. ctypes lets go of
the interpreter's lock while one runs, so threads run them side by side.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from starfreight.errors import ServiceError

Type = GGMLQuantizationType
Floats = npt.NDArray[np.float32]


def to_float32(stored: npt.NDArray[np.generic]) -> Floats:
    """Stored numbers as float32, without loss. uint16 means bfloat16."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.astype(np.float32)


def to_bfloat16(values: Floats) -> npt.NDArray[np.uint16]:
    """Finite numbers rounded to bfloat16, to the nearest and ties to even, as uint16."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + (odd + np.uint32(0x7FFF))) >> np.uint32(16)).astype(np.uint16)


def to_float16(values: Floats) -> npt.NDArray[np.float16]:
    """Numbers rounded to float16; those beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def round_to(values: Floats, dtype: str) -> Floats:
    """Float32 numbers rounded to ``F32``, ``F16`` or ``BF16`` and returned as float32."""
    if dtype == "BF16":
        return to_float32(to_bfloat16(values))
    if dtype == "F16":
        return to_float32(to_float16(values))
    return values


def encode(values: Floats, kind: GGMLQuantizationType) -> memoryview | None:
    """Rows of float32 as the bytes of a type.

    Args:
        values: shape (rows, columns), contiguous, finite.
        kind: the type; columns must be whole blocks of it.

    Returns:
        The bytes, or ``None`` if the type cannot hold the numbers because they are too large.
    """
    if kind == Type.F32:
        return _bytes(values)
    if kind == Type.BF16:
        return _bytes(to_bfloat16(values))
    if kind == Type.F16:
        halves = to_float16(values)
        return _bytes(halves) if bool(np.isfinite(halves).all()) else None
    return _quantise(values, kind)


def prepare(kind: GGMLQuantizationType) -> None:
    """Fills the kernel's tables. Call it once for each type, before threads use it."""
    if kind not in (Type.F32, Type.F16, Type.BF16):
        _library().ggml_quantize_init(int(kind))


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array, not copied."""
    return memoryview(array.view(np.uint8).reshape(-1).data)


def _quantise(values: Floats, kind: GGMLQuantizationType) -> memoryview | None:
    library = _library()
    rows, columns = values.shape
    block, size = GGML_QUANT_SIZES[kind]
    out = np.empty(rows * columns // block * size, dtype=np.uint8)
    written = library.ggml_quantize_chunk(
        int(kind), values.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
        0, rows, columns, None,
    )  # fmt: skip
    if written != out.nbytes:
        raise RuntimeError(f"ggml wrote {written} bytes of {kind.name} instead of {out.nbytes}")
    sound = library.ggml_validate_row_data(int(kind), out.ctypes.data_as(ctypes.c_void_p), out.nbytes)
    return _bytes(out) if sound else None


@functools.cache
def _library() -> ctypes.CDLL:
    """``libggml-base``, with the few functions we call declared."""
    spec = importlib.util.find_spec("libggml")
    places = list(spec.submodule_search_locations or []) if spec else []
    suffix = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    found = [path for place in places for path in sorted(Path(place).glob(f"lib*/*ggml-base.{suffix}"))]
    if not found:
        raise ServiceError(
            "The quantisation kernels of ggml are not installed.", fix="run: pip install libggml-python"
        )
    library = ctypes.CDLL(str(found[0]))
    library.ggml_quantize_init.argtypes = [ctypes.c_int]
    library.ggml_quantize_init.restype = None
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p,
        ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
    ]  # fmt: skip
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_validate_row_data.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    library.ggml_validate_row_data.restype = ctypes.c_bool
    return library
