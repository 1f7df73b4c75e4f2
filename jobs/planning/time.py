"""How long training takes, from the operations that it is made of."""

from __future__ import annotations

from starfreight.checkpoint import ModelShape
from starfreight.jobs.planning.gpus import Gpu
from starfreight.recipe import Training

UTILISATION = 0.35
"""The part of a GPU's peak that training reaches: an assumption, from what people report of QLoRA on
data-centre GPUs (30 to 50 percent); NF4 has to be unpacked for each multiplication."""


def operations_per_token(shape: ModelShape, training: Training) -> float:
    """Floating-point operations for each token.

    Two for each weight forward, two for the gradient of its input backward, and two more when the
    forward pass is done again; the frozen weights have no gradient of their own. Attention multiplies
    two activations, which both have one.
    """
    forward_again = training.gradient_checkpointing is not False
    embeddings = 0 if shape.tied else shape.vocab_size * shape.hidden
    weights = 2.0 * (shape.parameters - embeddings)
    # Each token looks back on half of the sequence: twice, and two operations each.
    attention = 2.0 * shape.layers * shape.hidden * training.sequence_length
    return weights * (2 + forward_again) + attention * (3 + forward_again)


def tokens_per_second(shape: ModelShape, training: Training, gpu: Gpu) -> float | None:
    """What one GPU trains in a second, by assumption; ``None`` when its peak is not known."""
    if gpu.peak is None:
        return None
    return UTILISATION * gpu.peak / operations_per_token(shape, training)
