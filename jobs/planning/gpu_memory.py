"""GPU memory needed for training, part by part, derived from shapes.

The formula follows the tensors kept by transformers, peft and bitsandbytes; not yet calibrated on a GPU.
Terms, for T tokens in a batch, hidden size h, L layers and vocabulary V:

- weights: 0.5159 bytes each in NF4 with double quantisation, otherwise 2 (bfloat16);
- embeddings: float32 after k-bit preparation, otherwise bfloat16;
- adapter and its gradient: float32 each, plus two bytes per parameter for 8-bit Adam;
- activations: with checkpointing 4 T h per layer plus those of one layer, otherwise those of every layer;
- logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from starfreight.checkpoint import ModelShape
from starfreight.recipe import Training

_NF4_BYTES = 0.5159
"""Per weight: 4 bits, an 8-bit scale per 64 weights, and a float32 scale per 256 of those."""
_ADAPTER_BYTES = 8
"""Per parameter: itself and its gradient in float32."""
_OPTIMIZER_BYTES = 2
"""Per parameter: both moments of 8-bit Adam."""
_LAYER_BYTES = 46.5
"""Activations kept by one layer for its backward pass under bfloat16 autocast, per token and hidden unit:
8 for the float32 inputs of both norms, 16 for the float32 input of GELU (four times as wide), 14 for queries,
attention output and the adapter's inputs in bfloat16, 8 for the output of GELU in bfloat16, and 0.5 for keys,
values and tensors as wide as the rank. Agrees with autograd's saved tensors on a CPU."""
_LAYER_BYTES_WITH_DROPOUT = 82.5
"""The same plus 36 for the adapter's inputs after dropout in float32: five of the hidden size, and one four
times as wide."""
_LOGITS_BYTES = 10
"""Per logit: bfloat16, a float32 copy for the loss, and its gradient in float32."""
_RECOMPUTED_LAYERS = 1.3
"""Assumed peak of the layer being recomputed, in layers: its activations and the first of their gradients."""
_CONTEXT = 0.8 * 2**30
"""Assumed size of the CUDA context, loaded kernels and cuBLAS workspaces."""
_FRAGMENTATION = 1.05
"""Assumed overhead of the caching allocator."""


@dataclass(frozen=True)
class GpuMemory:
    """Bytes by purpose.

    Attributes:
        weights: linear layers.
        embeddings: embeddings, output layer, norms and biases.
        adapter: adapter and its gradient.
        optimizer: optimizer state.
        activations: kept for the backward pass.
        logits: logits, or one layer's recomputed activations: the larger of the two, which never coexist.
        context: CUDA and libraries.
        fragmentation: free memory in pieces too small to use.
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
        """Sum of all parts."""
        return sum(asdict(self).values())


def adapter_parameters(shape: ModelShape, training: Training) -> int:
    """Number of parameters added by LoRA to the recipe's target modules."""
    h, f, kv = shape.hidden, shape.ffn, shape.kv_width
    if shape.architecture == "starcoder2":
        widths = {
            "q_proj": (h, h), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (h, h), "c_fc": (h, f),
            "c_proj": (f, h),
        }  # fmt: skip
    else:
        # c_proj names the output of both attention and MLP.
        widths = {"c_attn": (h, h + 2 * kv), "c_proj": (h + f, 2 * h), "c_fc": (h, f)}
    chosen: Sequence[str] = tuple(widths) if training.target_modules == "auto" else training.target_modules
    return training.rank * shape.layers * sum(sum(widths[name]) for name in chosen)


def training_memory(shape: ModelShape, training: Training) -> GpuMemory:
    """Memory needed on one GPU to train."""
    tokens = training.batch_size * training.sequence_length
    embeddings = shape.vocab_size * shape.hidden * (1 if shape.tied else 2)
    if shape.rope_theta is None:
        embeddings += shape.context_length * shape.hidden
    quantised = training.method == "qlora"
    layer = tokens * shape.hidden * (_LAYER_BYTES_WITH_DROPOUT if training.dropout else _LAYER_BYTES)
    dequantised = 2 * shape.hidden * shape.ffn if quantised else 0
    logits = _LOGITS_BYTES * tokens * shape.vocab_size
    adapter = adapter_parameters(shape, training)
    # On a GPU, "auto" turns checkpointing on.
    again = training.gradient_checkpointing is not False
    parts = {
        "weights": (shape.parameters - embeddings) * (_NF4_BYTES if quantised else 2),
        "embeddings": embeddings * (4 if quantised else 2),
        "adapter": adapter * _ADAPTER_BYTES,
        "optimizer": adapter * _OPTIMIZER_BYTES,
        "activations": (4 * tokens * shape.hidden if again else layer) * shape.layers,
        "logits": max(_RECOMPUTED_LAYERS * layer + dequantised if again else 0, logits),
        "context": _CONTEXT,
    }
    rounded = {name: round(size) for name, size in parts.items()}
    return GpuMemory(**rounded, fragmentation=round((_FRAGMENTATION - 1) * sum(rounded.values())))
