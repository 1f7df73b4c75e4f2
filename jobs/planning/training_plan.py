"""Cost of training a recipe: memory, disk and time."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from starfreight.checkpoint import ModelShape
from starfreight.jobs.planning.gpu_memory import GpuMemory
from starfreight.jobs.planning.gpus import Gpu
from starfreight.jobs.planning.largest_batch import BatchSettings
from starfreight.recipe import Recipe

_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_CHECKPOINT_BYTES = 12
"""Per adapter parameter: the parameter and both AdamW moments in float32; 8-bit moments take less."""

_BLOCK_BYTES = 5
"""Per token on disk: an id of up to four bytes and a byte of flags."""


@dataclass(frozen=True)
class TrainingDisk:
    """Bytes on disk.

    Attributes:
        base: the base model.
        data: blocks of tokens; 0 if the number of tokens is unknown.
        checkpoints: all checkpoints kept, and one being written.
        adapter: the latest adapter and the best one.
    """

    base: int
    data: int
    checkpoints: int
    adapter: int

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return sum(asdict(self).values())


@dataclass(frozen=True)
class TrainingPlan:
    """Figures for one variant of a recipe.

    Attributes:
        shape: shape of the base model.
        adapter_parameters: trainable parameters.
        learning_rate: the recipe's, or the default for a model of this size.
        gpu_memory: memory needed on one GPU.
        gpu: GPU to fit the training in; ``None`` if neither given nor in the recipe.
        largest_batch: largest batch for ``gpu``; ``None`` without a GPU or if no block fits.
        tokens: tokens trained on; ``None`` if set by data that were not counted.
        steps: of training; ``None`` as well.
        tokens_per_second: estimate for ``gpu``; ``None`` if its peak is unknown.
        disk: bytes on disk.
    """

    shape: ModelShape
    adapter_parameters: int
    learning_rate: float
    gpu_memory: GpuMemory
    gpu: Gpu | None
    largest_batch: BatchSettings | None
    tokens: int | None
    steps: int | None
    tokens_per_second: float | None
    disk: TrainingDisk

    @property
    def seconds(self) -> float | None:
        """Estimated training time; ``None`` if tokens or speed are unknown."""
        return self.tokens / self.tokens_per_second if self.tokens and self.tokens_per_second else None


def plan_training(
    recipe: Recipe, shape: ModelShape, card: Gpu | None = None, blocks: int | None = None
) -> TrainingPlan:
    """Compute the cost of one variant without weights, data or a GPU.

    Args:
        recipe: a recipe without a sweep.
        shape: of its base model.
        card: the GPU to fit the training in; default: ``run.gpu_memory``.
        blocks: of one pass over the data; ``None`` if they were not counted.
    """
    from starfreight.jobs.planning.gpu_memory import adapter_parameters, training_memory
    from starfreight.jobs.planning.largest_batch import largest_batch
    from starfreight.jobs.planning.throughput import tokens_per_second
    from starfreight.jobs.prepare.defaults import with_defaults

    training = with_defaults(recipe, shape).training
    if card is None and recipe.run.gpu_memory is not None:
        card = Gpu("run.gpu_memory", recipe.run.gpu_memory, None)
    adapter = adapter_parameters(shape, training)
    blocks_in_step = training.batch_size * training.gradient_accumulation
    steps = training.steps
    if steps is None and blocks is not None:
        steps = math.ceil(blocks * (training.epochs or 1.0) / blocks_in_step)
    tokens = blocks_in_step * training.sequence_length * steps if steps else None
    return TrainingPlan(
        shape=shape,
        adapter_parameters=adapter,
        learning_rate=float(training.learning_rate),
        gpu_memory=training_memory(shape, training),
        gpu=card,
        largest_batch=largest_batch(shape, training, card) if card else None,
        tokens=tokens,
        steps=steps,
        tokens_per_second=tokens_per_second(shape, training, card) if card else None,
        disk=TrainingDisk(
            base=_DTYPE_BYTES[shape.dtype] * shape.parameters,
            data=_BLOCK_BYTES * (tokens or 0),
            checkpoints=(training.checkpoints_kept + 1) * adapter * _CHECKPOINT_BYTES,
            adapter=8 * adapter,
        ),
    )
