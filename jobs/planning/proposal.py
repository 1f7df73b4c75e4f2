"""The largest batch that fits a GPU, with the same number of blocks in each step."""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.checkpoint import ModelShape
from starfreight.jobs.planning.gpus import Gpu
from starfreight.jobs.planning.memory import training_memory
from starfreight.recipe import Training

_LARGEST = 4096


@dataclass(frozen=True)
class Proposal:
    """Settings that fit.

    Attributes:
        batch_size: blocks in one forward pass.
        gradient_accumulation: forward passes in one step.
        gpu_memory: what they need, in bytes.
    """

    batch_size: int
    gradient_accumulation: int
    gpu_memory: int


def largest_batch(shape: ModelShape, training: Training, gpu: Gpu) -> Proposal | None:
    """The largest batch that fits, or ``None`` when a single block does not.

    A step keeps at least the recipe's blocks: the gradient is of as many tokens as before, or a few more.
    """

    def needs(batch: int) -> int:
        return training_memory(shape, training.model_copy(update={"batch_size": batch})).total

    if needs(1) > gpu.memory:
        return None
    # Memory grows with the batch, so that halving the range finds the last one that fits.
    low, high = 1, _LARGEST
    while low < high:
        middle = (low + high + 1) // 2
        if needs(middle) <= gpu.memory:
            low = middle
        else:
            high = middle - 1
    blocks = training.batch_size * training.gradient_accumulation
    passes = -(-blocks // low)
    batch = -(-blocks // passes)  # No larger than a step has use for.
    return Proposal(batch, passes, needs(batch))
