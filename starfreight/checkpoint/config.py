"""``config.json`` of a base model: its architecture and dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starfreight.checkpoint.layout import Architecture, ModelShape
from starfreight.errors import InputError
from starfreight.files import read_json

MODEL_TYPES: dict[str, Architecture] = {"starcoder2": "starcoder2", "gpt_bigcode": "starcoder"}
"""transformers' ``model_type`` of each architecture."""

_CONFIG_LIMIT = 1_000_000
_GELU_TANH = ("gelu_pytorch_tanh", "gelu_new", "gelu_fast")
_FIX = "use the directory of a StarCoder2 or StarCoder model as published by its authors"


def read_config(path: Path) -> ModelShape:
    """The shape described by a ``config.json``.

    Raises:
        InputError: the file is missing, describes an unsupported architecture, or has an invalid value.
    """
    config = read_json(path, _CONFIG_LIMIT, "model's config.json")
    if not isinstance(config, dict):
        raise InputError("The model's config.json is not a JSON object.", where=str(path), fix=_FIX)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODEL_TYPES:
        raise InputError(
            f"The architecture {str(model_type)[:80]!r} is not supported.",
            where=f"{path}: model_type",
            fix="use a base model whose model_type is one of: " + ", ".join(MODEL_TYPES),
        )
    fields = _Fields(config, path)
    if config.get("quantization_config") is not None:
        raise fields.refused("quantization_config", "is set: the weights are already quantised")
    return _starcoder2(fields) if model_type == "starcoder2" else _starcoder(fields)


def _starcoder2(fields: _Fields) -> ModelShape:
    fields.only("hidden_act", _GELU_TANH, "gelu_pytorch_tanh")
    fields.only("use_bias", (True,), True)
    fields.only("mlp_type", ("default",), "default")
    fields.only("norm_type", ("layer_norm",), "layer_norm")
    rope = fields.config.get("rope_parameters") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", "default") != "default":
        raise fields.refused("rope_parameters", "requests scaled rotary positions, unknown to StarCoder2")
    if fields.config.get("rope_scaling") is not None:
        raise fields.refused("rope_scaling", "requests scaled rotary positions, unknown to StarCoder2")
    theta = rope.get("rope_theta", fields.config.get("rope_theta", 10_000.0))
    return fields.checked(
        ModelShape(
            architecture="starcoder2",
            layers=fields.count("num_hidden_layers", 30, 1000),
            hidden=fields.count("hidden_size", 3072, 1 << 16),
            ffn=fields.count("intermediate_size", 12288, 1 << 18),
            heads=fields.count("num_attention_heads", 24, 1024),
            kv_heads=fields.count("num_key_value_heads", 2, 1024),
            vocab_size=fields.count("vocab_size", 49152, 1 << 20),
            context_length=fields.count("max_position_embeddings", 4096, 1 << 24),
            norm_epsilon=fields.number("norm_epsilon", fields.config.get("norm_epsilon", 1e-5), 0.1),
            rope_theta=fields.number("rope_theta", theta, 1e12),
            tied=fields.flag("tie_word_embeddings", True),
            dtype=fields.dtype(),
        )
    )


def _starcoder(fields: _Fields) -> ModelShape:
    fields.only("activation_function", _GELU_TANH, "gelu_pytorch_tanh")
    fields.only("scale_attn_weights", (True,), True)
    fields.only("add_cross_attention", (False,), False)
    if fields.config.get("multi_query", True) is not True:
        raise fields.refused(
            "multi_query", "is not true, and llama.cpp loads only multi-query StarCoder models"
        )
    hidden = fields.count("n_embd", 768, 1 << 16)
    inner = fields.config.get("n_inner")
    return fields.checked(
        ModelShape(
            architecture="starcoder",
            layers=fields.count("n_layer", 12, 1000),
            hidden=hidden,
            ffn=4 * hidden if inner is None else fields.count("n_inner", 4 * hidden, 1 << 18),
            heads=fields.count("n_head", 12, 1024),
            kv_heads=1,
            vocab_size=fields.count("vocab_size", 50257, 1 << 20),
            context_length=fields.count("n_positions", 1024, 1 << 24),
            norm_epsilon=fields.number(
                "layer_norm_epsilon", fields.config.get("layer_norm_epsilon", 1e-5), 0.1
            ),
            rope_theta=None,
            tied=fields.flag("tie_word_embeddings", True),
            dtype=fields.dtype(),
        )
    )


class _Fields:
    """Values of a config.json, each validated on access. The defaults are transformers'."""

    def __init__(self, config: Mapping[str, Any], path: Path) -> None:
        self.config, self.path = config, path

    def refused(self, key: str, why: str) -> InputError:
        return InputError(f"The model's {key} {why}.", where=f"{self.path}: {key}", fix=_FIX)

    def count(self, key: str, default: int, most: int) -> int:
        value = self.config.get(key, default)
        if type(value) is not int or not 1 <= value <= most:
            raise self.refused(key, f"is {str(value)[:40]}, not a whole number from 1 to {most}")
        return value

    def number(self, key: str, value: object, most: float) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= most:
            raise self.refused(key, f"is {str(value)[:40]}, not a number above 0 and up to {most:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.config.get(key, default)
        if not isinstance(value, bool):
            raise self.refused(key, f"is {str(value)[:40]}, not true or false")
        return value

    def only(self, key: str, allowed: tuple[object, ...], default: object) -> None:
        value = self.config.get(key, default)
        if value not in allowed:
            choices = " or ".join(
                str(item).lower() if isinstance(item, bool) else str(item) for item in allowed
            )
            raise self.refused(key, f"is {str(value)[:40]!r}; only {choices} is supported")

    def dtype(self) -> str:
        value = self.config.get("dtype", self.config.get("torch_dtype")) or "float32"
        names = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
        if not isinstance(value, str) or value not in names:
            raise self.refused(
                "dtype", f"is {str(value)[:40]!r}; only " + ", ".join(names) + " are supported"
            )
        return names[value]

    def checked(self, shape: ModelShape) -> ModelShape:
        if shape.hidden % shape.heads:
            raise self.refused(
                "hidden size", f"({shape.hidden}) is not a multiple of its {shape.heads} heads"
            )
        if shape.heads % shape.kv_heads:
            raise self.refused(
                "number of heads", f"({shape.heads}) is not a multiple of {shape.kv_heads} key heads"
            )
        if shape.rope_theta is not None and (shape.hidden // shape.heads) % 2:
            raise self.refused("head size", f"({shape.hidden // shape.heads}) is odd")
        return shape
