"""The starter's shape: a StarCoder2 small enough to ship and to train on one core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import Starcoder2Config


@dataclass(frozen=True)
class Shape:
    """The dimensions of a StarCoder2.

    Row lengths are multiples of 256 for the sake of K-quants, which quantise blocks of 256 values in a row
    and fall back to other types for rows of any other length.
    """

    vocabulary: int = 2048
    context_length: int = 1024
    hidden: int = 256
    feed_forward: int = 1024
    layers: int = 3
    heads: int = 4
    key_value_heads: int = 2
    rope_theta: float = 10_000.0

    def parameters(self) -> int:
        """Number of weights, including biases and norms; the tied embedding counts once."""
        key_value = self.hidden * self.key_value_heads // self.heads
        attention = 2 * self.hidden * (self.hidden + 1) + 2 * key_value * (self.hidden + 1)
        feed_forward = 2 * self.hidden * self.feed_forward + self.feed_forward + self.hidden
        norms = 4 * self.hidden
        return (
            self.vocabulary * self.hidden + self.layers * (attention + feed_forward + norms) + 2 * self.hidden
        )


def model_config(shape: Shape) -> Starcoder2Config:
    """The transformers configuration. It has no sliding window: llama.cpp would ignore it."""
    from transformers import Starcoder2Config

    return Starcoder2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=shape.context_length,
        rope_parameters={"rope_theta": shape.rope_theta, "rope_type": "default"},
        hidden_act="gelu_pytorch_tanh",
        norm_epsilon=1e-5,
        use_bias=True,
        tie_word_embeddings=True,
        sliding_window=None,
        bos_token_id=0,
        eos_token_id=0,
        attention_dropout=0.0,
        residual_dropout=0.0,
        embedding_dropout=0.0,
        initializer_range=0.02,
    )


def config_json(shape: Shape) -> dict[str, Any]:
    """Contents of ``config.json``, written out here so they stay the same across transformers versions."""
    return {
        "architectures": ["Starcoder2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dtype": "bfloat16",
        "embedding_dropout": 0.0,
        "eos_token_id": 0,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.context_length,
        "mlp_type": "default",
        "model_type": "starcoder2",
        "norm_epsilon": 1e-05,
        "norm_type": "layer_norm",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.key_value_heads,
        "residual_dropout": 0.0,
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"},
        "rope_theta": shape.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "use_bias": True,
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }
