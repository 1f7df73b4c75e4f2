"""Quantisation kernels, and rounding between float types.

Call :func:`prepare` once per type, then :func:`encode` from any number of threads. ggml's own kernels support
every type. For types with a slow search in ggml, faster kernels do the same arithmetic in the same order:
``lanes`` for sixteen sub-blocks at a time on a CPU, ``tensors`` on a GPU. They are checked against ggml's
before use.
"""

from __future__ import annotations

from starfreight.packager.press.kernels.accelerator import Accelerator, Device, find_accelerator
from starfreight.packager.press.kernels.encoding import SMALL_JOB, encode, prepare, quantise
from starfreight.packager.press.kernels.floats import Floats, round_to, to_bfloat16, to_float16, to_float32
from starfreight.packager.press.kernels.ggml import WEIGHTED

__all__ = [
    "SMALL_JOB",
    "WEIGHTED",
    "Accelerator",
    "Device",
    "Floats",
    "encode",
    "find_accelerator",
    "prepare",
    "quantise",
    "round_to",
    "to_bfloat16",
    "to_float16",
    "to_float32",
]
