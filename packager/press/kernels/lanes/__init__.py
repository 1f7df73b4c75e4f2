"""Fast kernels for the types whose search is slow in ggml, compiled by numba for the processor at hand.

One sub-block lies in each lane of a vector, so that a lane's arithmetic is the scalar routine's, operation
for operation, and the bytes are the same; see :mod:`starfreight.packager.press.kernels.lanes.vectors`. They
need no imatrix and take none.
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
"""The types and the modules with their kernels."""

Kernel = Callable[[Any, Any], Any]
"""Takes a flat array of float32 and the array of bytes it writes to."""


class Unavailable(Exception):
    """A fast kernel cannot be used; says why. ggml's is used instead."""


@functools.cache
def compiled(kind: str) -> Kernel:
    """The kernel of a type: a function of a flat array of float32 and the bytes to write to.

    numba keeps the machine code beside the module or in the user's cache folder, and leaves it out where
    neither can be written. It belongs to one processor model and to these very sources.

    Raises:
        Unavailable: numba is not installed, or does not work here.
    """
    try:
        build = importlib.import_module(f"{__name__}.{KERNELS[kind]}").kernel
    except Exception as error:  # also what another numba, with other insides, may raise
        raise Unavailable(f"numba cannot be imported ({error})") from error
    try:
        return _compile(build(_sources()), cache=True)
    except Exception:
        # An unwritable, full or damaged cache must not matter.
        try:
            return _compile(build(0), cache=False)
        except Exception as error:
            raise Unavailable(f"numba cannot compile it ({type(error).__name__})") from error


def _compile(function: Callable[..., Any], cache: bool) -> Kernel:
    """Compiles ``function(float32[::1], uint8[::1])``, to run without the interpreter's lock."""
    from numba import njit, types

    form = types.int64(types.Array(types.float32, 1, "C", readonly=True), types.uint8[::1])
    kernel: Kernel = njit(form, nogil=True, error_model="numpy", cache=cache)(function)
    return kernel


@functools.cache
def _sources() -> int:
    """A number that changes with any source file here, made a constant of the kernels.

    numba looks only at the file a kernel stands in when it judges whether cached machine code is stale.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")
