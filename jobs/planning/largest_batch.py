"""Largest batch size for a GPU, keeping the number of blocks per step."""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.checkpoint import ModelShape
from starfreight.jobs.planning.gpu_memory import training_memory
from starfreight.jobs.planning.gpus import Gpu
from starfreight.recipe import Training

_LARGEST = 4096


@dataclass(frozen=True)
class BatchSettings:
    """Batch settings for a GPU.

    Attributes:
        batch_size: blocks per forward pass.
        gradient_accumulation: forward passes per step.
        gpu_memory: bytes needed.
    """

    batch_size: int
    gradient_accumulation: int
    gpu_memory: int


def largest_batch(shape: ModelShape, training: Training, gpu: Gpu) -> BatchSettings | None:
    """The largest batch to fit in ``gpu``, or ``None`` if not even one block fits.

    A step keeps at least the recipe's blocks, so its gradient covers as many tokens as before, or a few more.
    """

    def needs(batch: int) -> int:
        return training_memory(shape, training.model_copy(update={"batch_size": batch})).total

    if needs(1) > gpu.memory:
        return None
    # Memory grows with the batch, so bisection finds the largest one.
    low, high = 1, _LARGEST
    while low < high:
        middle = (low + high + 1) // 2
        if needs(middle) <= gpu.memory:
            low = middle
        else:
            high = middle - 1
    blocks = training.batch_size * training.gradient_accumulation
    passes = -(-blocks // low)
    batch = -(-blocks // passes)  # A larger batch would leave the last pass partly empty.
    return BatchSettings(batch, passes, needs(batch))
