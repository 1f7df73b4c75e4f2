"""GPU memory of training, part by part, from shapes alone.

The formula was derived from the tensors that transformers, peft and bitsandbytes keep, and is not yet
calibrated on a GPU. Its terms, with T tokens in a batch, h hidden size, L layers, V vocabulary:
weights in NF4 with double quantisation 0.5159 bytes each, or 2 in bfloat16; embeddings in float32, as
k-bit preparation leaves them, or 2 in bfloat16; an adapter and its gradient in float32, and two bytes of
8-bit Adam a parameter; with checkpointing 4 T h a layer and one layer's activations, without it those of
every layer; the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from starfreight.checkpoint import ModelShape
from starfreight.recipe import Training

_NF4_BYTES = 0.5159
_ADAPTER_BYTES = 8
_OPTIMIZER_BYTES = 2
_LAYER_BYTES = 46.5
"""For each token and hidden unit: what one layer keeps for its backward pass."""
_LAYER_BYTES_WITH_DROPOUT = 82.5
_LOGITS_BYTES = 10
_CONTEXT = 0.8 * 2**30
_FRAGMENTATION = 1.05


@dataclass(frozen=True)
class GpuMemory:
    """Bytes by what they hold.

    Attributes:
        weights: the linear layers.
        embeddings: and the output layer, norms and biases.
        adapter: and its gradient.
        optimizer: its state.
        activations: what is kept for the backward pass.
        logits: or one layer's activations while they are computed again: the larger of the two, since the
            one is gone when the other comes.
        context: what CUDA and the libraries take.
        fragmentation: memory that is free, but in pieces too small.
    """

    weights: int
    embeddings: int
    adapter: int
    optimizer: int
    activations: int
    logits: int
    context: int
    fragmentation: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())


def adapter_parameters(shape: ModelShape, training: Training) -> int:
    """How many parameters LoRA adds to the layers that a recipe adapts."""
    h, f, kv = shape.hidden, shape.ffn, shape.kv_width
    if shape.architecture == "starcoder2":
        widths = {
            "q_proj": (h, h), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (h, h), "c_fc": (h, f),
            "c_proj": (f, h),
        }  # fmt: skip
    else:
        # c_proj is the name of both attention's and the MLP's output.
        widths = {"c_attn": (h, h + 2 * kv), "c_proj": (h + f, 2 * h), "c_fc": (h, f)}
    chosen: Sequence[str] = tuple(widths) if training.target_modules == "auto" else training.target_modules
    return training.rank * shape.layers * sum(sum(widths[name]) for name in chosen)


def training_memory(shape: ModelShape, training: Training) -> GpuMemory:
    """What one GPU needs for a recipe's training."""
    tokens = training.batch_size * training.sequence_length
    embeddings = shape.vocab_size * shape.hidden * (1 if shape.tied else 2)
    if shape.rope_theta is None:
        embeddings += shape.context_length * shape.hidden
    quantised = training.method == "qlora"
    layer = tokens * shape.hidden * (_LAYER_BYTES_WITH_DROPOUT if training.dropout else _LAYER_BYTES)
    dequantised = 2 * shape.hidden * shape.ffn if quantised else 0
    logits = _LOGITS_BYTES * tokens * shape.vocab_size
    adapter = adapter_parameters(shape, training)
    # On a GPU, auto means that activations are computed again.
    again = training.gradient_checkpointing is not False
    parts = {
        "weights": (shape.parameters - embeddings) * (_NF4_BYTES if quantised else 2),
        "embeddings": embeddings * (4 if quantised else 2),
        "adapter": adapter * _ADAPTER_BYTES,
        "optimizer": adapter * _OPTIMIZER_BYTES,
        "activations": (4 * tokens * shape.hidden if again else layer) * shape.layers,
        "logits": max(1.3 * layer + dequantised if again else 0, logits),
        "context": _CONTEXT,
    }
    rounded = {name: round(size) for name, size in parts.items()}
    return GpuMemory(**rounded, fragmentation=round((_FRAGMENTATION - 1) * sum(rounded.values())))
