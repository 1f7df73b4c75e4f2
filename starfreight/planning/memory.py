"""GPU memory of QLoRA training, part by part, from shapes alone.

The formula was derived from the tensors that transformers, peft and bitsandbytes keep, and is not yet
calibrated on a GPU. Its terms, with T tokens in a batch, h hidden size, L layers, V vocabulary:
weights in NF4 with double quantisation 0.5159 bytes each; embeddings in float32, as k-bit preparation
leaves them; an adapter in float32 with its gradient and 8-bit Adam 10 bytes a parameter; with
checkpointing 4 T h a layer, and the largest of one layer's activations and the logits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from starfreight.checkpoint import ModelShape
from starfreight.recipe import Training

_NF4_BYTES = 0.5159
_ADAPTER_BYTES = 10
_LAYER_BYTES_WITH_DROPOUT = 82.5
"""For each token and hidden unit: what one layer keeps for its backward pass."""
_CONTEXT = 0.8 * 2**30
_FRAGMENTATION = 1.05


@dataclass(frozen=True)
class GpuMemory:
    """Bytes by what they hold."""

    weights: int
    embeddings: int
    adapter: int
    activations: int
    peak_of_a_step: int
    context: int
    fragmentation: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())


def adapter_parameters(shape: ModelShape, rank: int) -> int:
    """How many parameters LoRA adds to every linear layer of attention and MLP."""
    h, f, kv = shape.hidden, shape.ffn, shape.kv_width
    if shape.architecture == "starcoder2":
        widths = [(h, h), (h, kv), (h, kv), (h, h), (h, f), (f, h)]
    else:
        widths = [(h, h + 2 * kv), (h, h), (h, f), (f, h)]
    return rank * shape.layers * sum(inputs + outputs for inputs, outputs in widths)


def training_memory(shape: ModelShape, training: Training) -> GpuMemory:
    """What one GPU needs for a recipe's training."""
    tokens = training.batch_size * training.sequence_length
    embeddings = shape.vocab_size * shape.hidden * (1 if shape.tied else 2)
    if shape.rope_theta is None:
        embeddings += shape.context_length * shape.hidden
    layer = tokens * shape.hidden * _LAYER_BYTES_WITH_DROPOUT
    dequantised = 2 * shape.hidden * shape.ffn
    parts = {
        "weights": (shape.parameters - embeddings) * _NF4_BYTES,
        "embeddings": embeddings * 4,
        "adapter": adapter_parameters(shape, training.rank) * _ADAPTER_BYTES,
        "activations": 4 * tokens * shape.hidden * shape.layers,
        "peak_of_a_step": max(1.3 * layer + dequantised, 10 * tokens * shape.vocab_size),
        "context": _CONTEXT,
    }
    rounded = {name: round(size) for name, size in parts.items()}
    return GpuMemory(**rounded, fragmentation=round((_FRAGMENTATION - 1) * sum(rounded.values())))
