"""Common training GPUs: memory and bfloat16 peak."""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.errors import RecipeError
from starfreight.jobs.gpu.devices import gpu_name
from starfreight.recipe.units import parse_memory


@dataclass(frozen=True)
class Gpu:
    """A GPU model.

    Attributes:
        name: the product's name.
        memory: bytes as reported by the driver: slightly less than the name promises.
        peak: dense bfloat16 operations per second with float32 accumulation; ``None`` if unknown.
    """

    name: str
    memory: int
    peak: float | None


_GIB = 2**30
_TERA = 10.0**12

GPUS = {
    "t4": Gpu("T4", 15 * _GIB, None),  # No bfloat16.
    "rtx3090": Gpu("RTX 3090", 24 * _GIB, 71 * _TERA),
    "rtx4090": Gpu("RTX 4090", 24 * _GIB, 165 * _TERA),
    "rtx5090": Gpu("RTX 5090", 32 * _GIB, 210 * _TERA),
    "a10": Gpu("A10", 22 * _GIB, 125 * _TERA),
    "a10g": Gpu("A10G", 22 * _GIB, 70 * _TERA),
    "l4": Gpu("L4", 22 * _GIB, 121 * _TERA),
    "a6000": Gpu("RTX A6000", 47 * _GIB, 155 * _TERA),
    "l40s": Gpu("L40S", 44 * _GIB, 362 * _TERA),
    "a100-40gb": Gpu("A100 40GB", 39 * _GIB, 312 * _TERA),
    "a100-80gb": Gpu("A100 80GB", 79 * _GIB, 312 * _TERA),
    "h100": Gpu("H100 80GB", 79 * _GIB, 989 * _TERA),
    "h200": Gpu("H200", 139 * _GIB, 989 * _TERA),
    "b200": Gpu("B200", 178 * _GIB, 2250 * _TERA),
}
"""GPUs by the names accepted by ``--gpu``. Peaks: NVIDIA's data sheets, dense."""


def gpu_here() -> Gpu | None:
    """The first GPU of this machine; ``None`` without one, or if it is not in the table."""
    name = gpu_name()
    if name is None:
        return None
    words = name.upper().replace("-", " ").split()
    known = [gpu for gpu in GPUS.values() if set(gpu.name.upper().split()) <= set(words)]
    return max(known, key=lambda gpu: len(gpu.name), default=None)


def find_gpu(text: str) -> Gpu:
    """Look up a GPU by name, or describe one by its memory alone (``24GB``).

    Raises:
        RecipeError: neither a known name nor an amount of memory.
    """
    known = GPUS.get(text.strip().lower().replace(" ", "-")) or GPUS.get(text.lower().replace(" ", ""))
    if known is not None:
        return known
    try:
        return Gpu(text, parse_memory(text), None)
    except ValueError:
        raise RecipeError(
            f"Unknown GPU {text[:40]!r}.",
            where="--gpu",
            fix="give its memory (24GB), or choose from " + ", ".join(GPUS),
        ) from None
