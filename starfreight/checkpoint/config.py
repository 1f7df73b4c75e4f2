"""``config.json`` of a base model: its architecture and dimensions.

Training builds transformers' model from what is read here (see :func:`read_dropouts`), and the press writes
the same to a GGUF file. A key that would give the model another meaning in one of the two is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starfreight.checkpoint.config_fields import FIX, Fields
from starfreight.checkpoint.layout import Architecture, ModelShape
from starfreight.errors import InputError
from starfreight.files import read_json

MODEL_TYPES: dict[str, Architecture] = {"starcoder2": "starcoder2", "gpt_bigcode": "starcoder"}
"""transformers' ``model_type`` of each architecture."""

DROPOUTS: dict[Architecture, dict[str, float]] = {
    "starcoder2": {"attention_dropout": 0.0, "residual_dropout": 0.0, "embedding_dropout": 0.0},
    "starcoder": {"attn_pdrop": 0.1, "resid_pdrop": 0.1, "embd_pdrop": 0.1},
}
"""The dropout rates of a ``config.json``, with transformers' defaults. They act in training only."""

_CONFIG_LIMIT = 1_000_000
_GELU_TANH = ("gelu_pytorch_tanh", "gelu_new", "gelu_fast")
"""Three spellings of one formula, which is llama.cpp's. ``gelu`` is another one."""

_ALIASES = {
    "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}  # fmt: skip
"""transformers' second names of StarCoder 1's keys."""


def read_config(path: Path) -> ModelShape:
    """The shape described by a ``config.json``.

    Raises:
        InputError: the file is missing, describes an unsupported architecture, has an invalid value, or has
            a key that training and llama.cpp would read differently.
    """
    architecture, fields = _open(path)
    _check_meaning(fields)
    for key, default in DROPOUTS[architecture].items():
        fields.share(key, default)
    return _starcoder2(fields) if architecture == "starcoder2" else _starcoder(fields)


def read_dropouts(path: Path) -> Mapping[str, float]:
    """The dropout rates of a ``config.json``, by transformers' names (see :data:`DROPOUTS`).

    Raises:
        InputError: see :func:`read_config`.
    """
    architecture, fields = _open(path)
    return {key: fields.share(key, default) for key, default in DROPOUTS[architecture].items()}


def _open(path: Path) -> tuple[Architecture, Fields]:
    config = read_json(path, _CONFIG_LIMIT, "model's config.json")
    if not isinstance(config, dict):
        raise InputError("The model's config.json is not a JSON object.", where=str(path), fix=FIX)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODEL_TYPES:
        raise InputError(
            f"The architecture {str(model_type)[:80]!r} is not supported.",
            where=f"{path}: model_type",
            fix="use a base model whose model_type is one of: " + ", ".join(MODEL_TYPES),
        )
    return MODEL_TYPES[model_type], Fields(config, path)


def _check_meaning(fields: Fields) -> None:
    """Refuse keys that would make transformers load or compute something else than llama.cpp."""
    for key in ("quantization_config", "compression_config"):
        if fields.config.get(key) is not None:
            raise fields.refused(key, "is set: the weights are already quantised")
    for key, why in (
        (
            "transformers_weights",
            "names the file of the weights, which must be model.safetensors or its index",
        ),
        ("auto_map", "names code of the model's own, which neither training nor llama.cpp runs"),
        ("pruned_heads", "removes attention heads, which the weights still have"),
    ):
        if fields.config.get(key):
            raise fields.refused(key, why, fix=f"remove the key if the model works without it, or {FIX}")
    fields.only("is_causal", (True,), True)
    fields.only("is_encoder_decoder", (False,), False)


def _starcoder2(fields: Fields) -> ModelShape:
    fields.only("hidden_act", _GELU_TANH, "gelu_pytorch_tanh")
    fields.only("use_bias", (True,), True)
    fields.only("mlp_type", ("default",), "default")
    fields.only("norm_type", ("layer_norm",), "layer_norm")
    shape = _checked(
        fields,
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
            rope_theta=fields.rope_theta(),
            tied=fields.flag("tie_word_embeddings", True),
            dtype=fields.dtype(),
            sliding_window=fields.sliding_window(fields.count("max_position_embeddings", 4096, 1 << 24)),
        ),
    )
    _check_attention(fields, shape)
    return shape


def _check_attention(fields: Fields, shape: ModelShape) -> None:
    """Refuse keys of other architectures that contradict the attention of StarCoder2."""
    size = shape.hidden // shape.heads
    if fields.config.get("head_dim", size) not in (None, size):
        raise fields.refused(
            "head_dim",
            f"is {str(fields.config['head_dim'])[:40]}; llama.cpp needs {size}, hidden size / heads",
        )
    if shape.sliding_window is None:
        return
    layers = fields.config.get("layer_types") or []
    everywhere = isinstance(layers, list) and all(kind == "sliding_attention" for kind in layers)
    if fields.config.get("use_sliding_window") not in (None, True) or not everywhere:
        key = "layer_types" if not everywhere else "use_sliding_window"
        raise fields.refused(
            key,
            f"contradicts sliding_window ({shape.sliding_window}), which StarCoder2 has in all layers",
            fix="set sliding_window to null if the model was trained without a window; otherwise remove "
            f"{key}",
        )


def _starcoder(fields: Fields) -> ModelShape:
    fields.only("activation_function", _GELU_TANH, "gelu_pytorch_tanh")
    fields.only("scale_attn_weights", (True,), True)
    fields.only("scale_attn_by_inverse_layer_idx", (False,), False)
    fields.only("add_cross_attention", (False,), False)
    if fields.config.get("multi_query", True) is not True:
        raise fields.refused(
            "multi_query", "is not true, and llama.cpp loads only multi-query StarCoder models"
        )
    for alias, key in _ALIASES.items():
        if alias in fields.config and fields.config[alias] != fields.config.get(key):
            raise fields.refused(
                alias,
                f"is another name of {key} and has another value",
                fix=f"keep the value that the model has, as {key}, and remove {alias}",
            )
    hidden = fields.count("n_embd", 768, 1 << 16)
    inner = fields.config.get("n_inner")
    return _checked(
        fields,
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
        ),
    )


def _checked(fields: Fields, shape: ModelShape) -> ModelShape:
    """The shape, with its sizes checked against each other."""
    if shape.hidden % shape.heads:
        raise fields.refused("hidden size", f"({shape.hidden}) is not a multiple of its {shape.heads} heads")
    if shape.heads % shape.kv_heads:
        raise fields.refused(
            "number of heads", f"({shape.heads}) is not a multiple of {shape.kv_heads} key heads"
        )
    if shape.rope_theta is not None and (shape.hidden // shape.heads) % 2:
        raise fields.refused("head size", f"({shape.hidden // shape.heads}) is odd")
    return shape
