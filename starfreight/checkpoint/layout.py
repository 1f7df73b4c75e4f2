"""A model's shape, and the tensors it implies, under transformers' names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["starcoder2", "starcoder"]
"""The supported architectures, under llama.cpp's names: StarCoder2, and StarCoder 1 (``gpt_bigcode``)."""

TIED_COPY = "lm_head.weight"
"""Some writers store a tied output layer again. An exact copy is passed over; see :mod:`.tied_copy`."""


@dataclass(frozen=True)
class ModelShape:
    """The dimensions of a model.

    Attributes:
        architecture: ``starcoder2`` or ``starcoder``.
        layers: decoder layers.
        hidden: width of the residual stream.
        ffn: width inside the feed-forward block.
        heads: attention heads.
        kv_heads: key and value heads; 1 for StarCoder 1.
        vocab_size: rows of the embedding, possibly more than the tokenizer has tokens.
        context_length: maximum sequence length, in tokens.
        norm_epsilon: of its layer norms.
        rope_theta: base of the rotary embedding; ``None`` for learned positions.
        tied: true if the output layer is the embedding itself.
        dtype: of the weights, ``F32``, ``F16`` or ``BF16``.
        sliding_window: tokens that attention reaches back, itself included; ``None`` if it reaches all of the
            context. llama.cpp ignores it.
    """

    architecture: Architecture
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocab_size: int
    context_length: int
    norm_epsilon: float
    rope_theta: float | None
    tied: bool
    dtype: str
    sliding_window: int | None = None

    @property
    def kv_width(self) -> int:
        """Columns of the key projection, and of the value projection."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def parameters(self) -> int:
        """Number of weights; a tied output layer counts once."""
        return sum(math.prod(shape) for shape in expected_tensors(self).values())


def expected_tensors(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of exactly the tensors of a model of this shape.

    A linear layer's weight has the shape (outputs, inputs). A tied output layer has no tensor of its own.
    """
    return _starcoder2(shape) if shape.architecture == "starcoder2" else _starcoder(shape)


def _starcoder2(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    hidden, ffn, kv = shape.hidden, shape.ffn, shape.kv_width
    tensors: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocab_size, hidden)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}"
        tensors |= _norm(f"{prefix}.input_layernorm", hidden)
        tensors |= _linear(f"{prefix}.self_attn.q_proj", hidden, hidden)
        tensors |= _linear(f"{prefix}.self_attn.k_proj", kv, hidden)
        tensors |= _linear(f"{prefix}.self_attn.v_proj", kv, hidden)
        tensors |= _linear(f"{prefix}.self_attn.o_proj", hidden, hidden)
        tensors |= _norm(f"{prefix}.post_attention_layernorm", hidden)
        tensors |= _linear(f"{prefix}.mlp.c_fc", ffn, hidden)
        tensors |= _linear(f"{prefix}.mlp.c_proj", hidden, ffn)
    tensors |= _norm("model.norm", hidden)
    return tensors | _output(shape)


def _starcoder(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    hidden, ffn = shape.hidden, shape.ffn
    tensors: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (shape.vocab_size, hidden),
        "transformer.wpe.weight": (shape.context_length, hidden),
    }
    for layer in range(shape.layers):
        prefix = f"transformer.h.{layer}"
        tensors |= _norm(f"{prefix}.ln_1", hidden)
        tensors |= _linear(f"{prefix}.attn.c_attn", hidden + 2 * shape.kv_width, hidden)
        tensors |= _linear(f"{prefix}.attn.c_proj", hidden, hidden)
        tensors |= _norm(f"{prefix}.ln_2", hidden)
        tensors |= _linear(f"{prefix}.mlp.c_fc", ffn, hidden)
        tensors |= _linear(f"{prefix}.mlp.c_proj", hidden, ffn)
    tensors |= _norm("transformer.ln_f", hidden)
    return tensors | _output(shape)


def _output(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    return {} if shape.tied else {"lm_head.weight": (shape.vocab_size, shape.hidden)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
