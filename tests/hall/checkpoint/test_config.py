"""A config.json is read once, for training and for llama.cpp; what they would read differently is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import read_config
from starfreight.checkpoint.config import read_dropouts
from starfreight.errors import InputError


@pytest.fixture
def config(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """The config.json of a small model, with changes."""
    made: dict[str, dict[str, Any]] = {}

    def write(architecture: str = "starcoder2", **changes: Any) -> Path:
        if architecture not in made:
            folder = make_checkpoint(tmp_path / architecture, architecture, hidden=64, ffn=256)
            made[architecture] = json.loads((folder / "config.json").read_text())
        path = tmp_path / "config.json"
        path.write_text(json.dumps(made[architecture] | changes))
        return path

    return write


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({}, None),
        ({"sliding_window": None}, None),
        ({"sliding_window": 48}, 48),
        ({"sliding_window": 255}, 255),
        ({"sliding_window": 256}, None),  # The context of the model.
        ({"sliding_window": 4096}, None),
        ({"sliding_window": 48, "use_sliding_window": True}, 48),
        ({"sliding_window": 48, "layer_types": ["sliding_attention"] * 2}, 48),
        ({"layer_types": ["full_attention"] * 2}, None),
    ],
)
def test_the_window_is_one_that_acts_within_the_context(
    config: Callable[..., Path], changes: dict[str, Any], window: int | None
) -> None:
    assert read_config(config(**changes)).sliding_window == window


def test_starcoder_1_has_no_window(config: Callable[..., Path]) -> None:
    assert read_config(config("starcoder", sliding_window=48)).sliding_window is None


@pytest.mark.parametrize(
    ("architecture", "changes", "key"),
    [
        ("starcoder2", {"sliding_window": 0}, "sliding_window"),
        ("starcoder2", {"sliding_window": "48"}, "sliding_window"),
        ("starcoder2", {"sliding_window": 48, "use_sliding_window": False}, "use_sliding_window"),
        (
            "starcoder2",
            {"sliding_window": 48, "layer_types": ["full_attention", "sliding_attention"]},
            "layer_types",
        ),
        ("starcoder2", {"rope_parameters": {"type": "linear", "rope_theta": 10000.0}}, "rope_parameters"),
        ("starcoder2", {"rope_parameters": {"rope_theta": 20000.0}}, "rope_theta"),
        ("starcoder2", {"rope_parameters": {"rope_theta": 1e4, "factor": 4}}, "rope_parameters"),
        (
            "starcoder2",
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            "rope_parameters",
        ),
        ("starcoder2", {"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "rope_parameters"),
        ("starcoder2", {"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ("starcoder2", {"head_dim": 32}, "head_dim"),
        ("starcoder2", {"hidden_act": "gelu"}, "hidden_act"),
        ("starcoder2", {"use_bias": 1}, "use_bias"),
        ("starcoder2", {"is_causal": False}, "is_causal"),
        ("starcoder2", {"transformers_weights": "other.safetensors"}, "transformers_weights"),
        ("starcoder2", {"auto_map": {"AutoModelForCausalLM": "modeling.Mine"}}, "auto_map"),
        ("starcoder2", {"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ("starcoder2", {"compression_config": {"bits": 4}}, "compression_config"),
        ("starcoder2", {"residual_dropout": 1.0}, "residual_dropout"),
        ("starcoder", {"hidden_size": 128}, "hidden_size"),
        ("starcoder", {"num_attention_heads": 2}, "num_attention_heads"),
        ("starcoder", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("starcoder", {"scale_attn_weights": 1}, "scale_attn_weights"),
        ("starcoder", {"is_causal": False}, "is_causal"),
        ("starcoder", {"activation_function": "gelu"}, "activation_function"),
        ("starcoder", {"resid_pdrop": -0.1}, "resid_pdrop"),
    ],
)
def test_a_key_that_the_two_readers_would_read_differently_is_refused_by_name(
    config: Callable[..., Path], architecture: str, changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_config(config(architecture, **changes))
    assert str(caught.value.where).endswith(f"config.json: {key}")
    assert caught.value.fix


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("starcoder2", {"rope_parameters": {"rope_type": "default", "rope_theta": 10000}}),
        ("starcoder2", {"partial_rotary_factor": 1.0, "head_dim": 16}),
        ("starcoder2", {"head_dim": None, "pruned_heads": {}, "auto_map": {}, "is_causal": True}),
        ("starcoder2", {"hidden_act": "gelu_new"}),
        ("starcoder", {"hidden_size": 64, "num_attention_heads": 4}),
        ("starcoder", {"attention_softmax_in_fp32": False, "n_inner": None}),
    ],
)
def test_keys_that_say_the_same_change_nothing(
    config: Callable[..., Path], architecture: str, changes: dict[str, Any]
) -> None:
    assert read_config(config(architecture, **changes)) == read_config(config(architecture))


def test_dropout_is_transformers_default_or_the_keys(config: Callable[..., Path]) -> None:
    assert read_dropouts(config(residual_dropout=0.2)) == {
        "attention_dropout": 0.0, "residual_dropout": 0.2, "embedding_dropout": 0.0,
    }  # fmt: skip
    assert set(read_dropouts(config("starcoder")).values()) == {0.1}
