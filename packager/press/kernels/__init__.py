"""Numbers to bytes: quantisation, and the rounding between float types.

Call :func:`prepare` for a type once, then :func:`encode` from as many threads as there are cores.
ggml's own kernels know every type. Where its search is slow, kernels that work on sixteen sub-blocks at a
time (``lanes``) do the same arithmetic in the same order, and so does a GPU (``tensors``); they are checked
against ggml's before use.
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
