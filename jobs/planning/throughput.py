"""Training throughput on a GPU, estimated from the operations per token."""

from __future__ import annotations

from starfreight.checkpoint import ModelShape
from starfreight.jobs.planning.gpus import Gpu
from starfreight.recipe import Training

UTILISATION = 0.35
"""Assumed fraction of a GPU's peak reached in training. Reports of QLoRA on data-centre GPUs range from 30 to
50 percent; unpacking NF4 for each multiplication costs the rest."""


def operations_per_token(shape: ModelShape, training: Training) -> float:
    """Floating-point operations per token.

    Per weight: two forward, two for the gradient of its input, and two more if activations are recomputed.
    Frozen weights have no gradient of their own. Attention multiplies two activations, and both have one.
    """
    forward_again = training.gradient_checkpointing is not False
    embeddings = 0 if shape.tied else shape.vocab_size * shape.hidden
    weights = 2.0 * (shape.parameters - embeddings)
    # On average a token attends to half the sequence: two products, two operations each.
    attention = 2.0 * shape.layers * shape.hidden * training.sequence_length
    return weights * (2 + forward_again) + attention * (3 + forward_again)


def tokens_per_second(shape: ModelShape, training: Training, gpu: Gpu) -> float | None:
    """Estimated tokens per second on one GPU; ``None`` if its peak is unknown."""
    if gpu.peak is None:
        return None
    return UTILISATION * gpu.peak / operations_per_token(shape, training)
