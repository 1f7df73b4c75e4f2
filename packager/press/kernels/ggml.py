"""ggml's own kernels, from the prebuilt ``libggml-base`` in the package libggml-python.

They support every type, and their bytes are the reference for all other kernels. ctypes releases the
interpreter's lock while one runs, so threads run them in parallel.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from starfreight.errors import ServiceError
from starfreight.packager.press.kernels.floats import Floats

Bytes = npt.NDArray[np.uint8]

WEIGHTED = frozenset(
    GGMLQuantizationType[name]
    for name in ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "IQ4_XS"]
)
"""The types whose kernels use column weights; the others write the same bytes with and without."""


def prepare(kind: GGMLQuantizationType) -> None:
    """Initialise the tables of a type's kernel. Call it once per type, before threads use it."""
    _library().ggml_quantize_init(int(kind))


def quantise(values: Floats, kind: GGMLQuantizationType, weights: Floats | None = None) -> Bytes:
    """Quantise rows of float32 to the bytes of a type.

    Args:
        values: shape (rows, columns), contiguous, finite.
        kind: the type, prepared; columns must be whole blocks of it.
        weights: relative cost of an error in each column, shape (columns,), contiguous, not negative;
            ``None`` for the kernel's own choice.
    """
    if weights is not None and weights.shape != values.shape[1:]:
        raise ValueError(f"{weights.shape} weights for rows of {values.shape[1]}")
    rows, columns = values.shape
    out = np.empty(quantised_size(values.size, kind), dtype=np.uint8)
    written = _library().ggml_quantize_chunk(
        int(kind), values.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
        0, rows, columns, None if weights is None else weights.ctypes.data_as(ctypes.c_void_p),
    )  # fmt: skip
    if written != out.nbytes:
        raise RuntimeError(f"ggml wrote {written} bytes of {kind.name} instead of {out.nbytes}")
    return out


def is_valid(data: Bytes, kind: GGMLQuantizationType) -> bool:
    """True if all scales in quantised bytes are finite, as llama.cpp requires when it checks a file."""
    pointer = data.ctypes.data_as(ctypes.c_void_p)
    return bool(_library().ggml_validate_row_data(int(kind), pointer, data.nbytes))


def quantised_size(elements: int, kind: GGMLQuantizationType) -> int:
    """Bytes of the given number of elements, in whole blocks of a type."""
    block, size = GGML_QUANT_SIZES[kind]
    return elements // int(block) * int(size)


@functools.cache
def _library() -> ctypes.CDLL:
    """``libggml-base``, with declarations of the functions in use."""
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
