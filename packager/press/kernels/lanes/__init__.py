"""Fast kernels for the types with a slow search in ggml, compiled by numba for the host CPU.

Each lane of a vector holds one sub-block, so a lane's arithmetic is the scalar routine's, operation for
operation, and the bytes are the same; see :mod:`starfreight.packager.press.kernels.lanes.vectors`. These
kernels support no imatrix.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

KERNELS: Mapping[str, str] = MappingProxyType(
    {"Q2_K": "q2_k", "Q3_K": "q3_k", "Q4_K": "q4_k", "Q5_K": "q5_k", "Q6_K": "q6_k"}
)
"""The types, and the modules with their kernels."""

Kernel = Callable[[Any, Any], Any]
"""Takes a flat array of float32 and the array of bytes to write to."""


class Unavailable(Exception):
    """A fast kernel cannot be used, with the reason. ggml's is used instead."""


@functools.cache
def compiled(kind: str) -> Kernel:
    """The kernel of a type: a function of a flat array of float32 and the bytes to write to.

    numba keeps the machine code beside the module or in the user's cache directory, or nowhere if neither is
    writable. The cache entry is specific to one CPU model and to these exact sources.

    Raises:
        Unavailable: numba is not installed, or does not work here.
    """
    try:
        # Each module has its own ``kernel``: the closure of a shared wrapper would hold a numba dispatcher,
        # whose pickle differs between processes and defeats the cache.
        build = importlib.import_module(f"{__name__}.{KERNELS[kind]}").kernel
    except Exception as error:  # Another numba version may have other internals and raise anything.
        raise Unavailable(f"numba cannot be imported ({error})") from error
    try:
        return _compile(build(_sources()), cache=True)
    except Exception:
        # An unwritable, full or corrupt cache must not matter.
        try:
            return _compile(build(0), cache=False)
        except Exception as error:
            raise Unavailable(f"numba cannot compile it ({type(error).__name__})") from error


def _compile(function: Callable[..., Any], cache: bool) -> Kernel:
    """Compile ``function(float32[::1], uint8[::1])``, to run without the interpreter's lock."""
    from numba import njit, types

    form = types.int64(types.Array(types.float32, 1, "C", readonly=True), types.uint8[::1])
    kernel: Kernel = njit(form, nogil=True, error_model="numpy", cache=cache)(function)
    return kernel


@functools.cache
def _sources() -> int:
    """A number derived from all source files here, made a constant of the kernels.

    To decide whether cached machine code is stale, numba looks only at the file defining the kernel.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")
