"""llama.cpp's own quantiser, and importance matrices to give to it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.packager.press.importance import read_importance

HEADER = 24
"""Where llama.cpp's struct begins in cyllama's object: after count, type and table of methods."""


class Entry(ctypes.Structure):
    """``llama_model_imatrix_data``."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Override(ctypes.Structure):
    """``llama_model_kv_override``, whose value is a union that starts at a multiple of 8."""

    _fields_ = (
        ("tag", ctypes.c_int), ("key", ctypes.c_char * 128), ("value", ctypes.c_int64 * 16),
    )  # fmt: skip


class Params(ctypes.Structure):
    """``llama_model_quantize_params`` of cyllama 0.2.18, which is llama.cpp b9190."""

    _fields_ = (
        ("nthread", ctypes.c_int32), ("ftype", ctypes.c_int), ("output_type", ctypes.c_int),
        ("embedding_type", ctypes.c_int), ("flags", ctypes.c_bool * 6), ("imatrix", ctypes.c_void_p),
        ("overrides", ctypes.c_void_p), ("types", ctypes.c_void_p), ("prune", ctypes.c_void_p),
    )  # fmt: skip


@pytest.fixture(scope="session")
def reference() -> Callable[..., bytes]:
    """Makes the file that ``llama_model_quantize`` makes of ``source``, called as ``llama-quantize`` does."""

    def quantise(source: Path, target: Path, file_type: int, imatrix: Path | None = None) -> bytes:
        from cyllama.llama import llama_cpp

        llama_cpp.disable_logging()
        params = llama_cpp.LlamaModelQuantizeParams()
        params.ftype, params.nthread = int(file_type), 1
        kept = _give(params, imatrix) if imatrix is not None else None
        llama_cpp.model_quantize(str(source), str(target), params)
        del kept
        return target.read_bytes()

    return quantise


def _give(params: Any, path: Path) -> Any:
    """Hands an importance matrix over, for which cyllama has no setter; returns what must be kept alive."""
    assert type(params).__basicsize__ == HEADER + ctypes.sizeof(Params)
    struct = Params.from_address(id(params) + HEADER)
    assert (struct.ftype, struct.nthread, struct.imatrix, struct.overrides) == (params.ftype, 1, None, None)
    found = read_importance(path)
    entries = [
        Entry(name.encode(), weights.ctypes.data, len(weights)) for name, weights in found.weights.items()
    ]
    texts = {"quantize.imatrix.file": found.file, "quantize.imatrix.dataset": found.dataset}
    numbers = {
        "quantize.imatrix.entries_count": len(found.weights), "quantize.imatrix.chunks_count": found.chunks,
    }  # fmt: skip
    overrides = []
    for key, value in (*texts.items(), *numbers.items()):
        if value:
            override = Override(3 if isinstance(value, str) else 0, key.encode())
            raw = value.encode() if isinstance(value, str) else value.to_bytes(8, "little")
            ctypes.memmove(ctypes.addressof(override) + Override.value.offset, raw, min(len(raw), 127))
            overrides.append(override)
    lists = (Entry * (len(entries) + 1))(*entries), (Override * (len(overrides) + 1))(*overrides)
    struct.imatrix, struct.overrides = (ctypes.addressof(each) for each in lists)
    return found, lists
