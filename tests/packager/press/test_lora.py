"""The adapter as a file of its own: llama.cpp adds it to the base as the press merges it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from llama_cpp import log_probabilities

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.packager.press import (
    LoraRequest,
    ModelIdentity,
    ModelOrigin,
    PressRequest,
    press,
    press_lora,
)

TARGETS = {
    "starcoder2": {
        "model.layers.{}.self_attn.q_proj.weight": (64, 64),
        "model.layers.{}.self_attn.k_proj.weight": (32, 64),
        "model.layers.{}.self_attn.v_proj.weight": (32, 64),
        "model.layers.{}.self_attn.o_proj.weight": (64, 64),
        "model.layers.{}.mlp.c_fc.weight": (128, 64),
        "model.layers.{}.mlp.c_proj.weight": (64, 128),
    },
    "starcoder": {
        "transformer.h.{}.attn.c_attn.weight": (96, 64),
        "transformer.h.{}.attn.c_proj.weight": (64, 64),
        "transformer.h.{}.mlp.c_fc.weight": (128, 64),
        "transformer.h.{}.mlp.c_proj.weight": (64, 128),
    },
}
TOKENS = [5, 90, 1, 100, 350, 60, 3, 77, 30, 2, 200, 201, 0, 6, 17]


def all_layers(architecture: str) -> dict[str, tuple[int, int]]:
    """Every linear layer of a model of two layers."""
    return {name.format(layer): shape for name, shape in TARGETS[architecture].items() for layer in range(2)}


def after_each_token(gguf: Path, tokens: Sequence[int], lora: Path | None = None) -> np.ndarray:
    """llama.cpp's log-probabilities after each of the tokens, with an adapter or without."""
    return log_probabilities(gguf, [tokens[:count] for count in range(1, len(tokens) + 1)], lora)


@pytest.mark.parametrize("kind", ["F16", "F32"])
@pytest.mark.parametrize(
    ("architecture", "extra", "config"),
    [
        ("starcoder2", {}, {}),
        ("starcoder2", {"lm_head.weight": (400, 64)}, {"use_rslora": True, "alpha": 3}),
        ("starcoder2", {}, {"alpha_pattern": {"q_proj": 3, r"layers\.1\.mlp\.c_fc": 5}}),
        ("starcoder", {}, {}),
    ],
)
def test_llama_cpp_adds_the_adapter_as_the_press_merges_it(
    architecture: str,
    extra: dict[str, tuple[int, int]],
    config: dict[str, Any],
    kind: Literal["F16", "F32"],
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", architecture, hidden=64, ffn=128, tied=False, dtype="F32")
    adapter = make_adapter(tmp_path / "adapter", all_layers(architecture) | extra, **config)
    (plain,) = press(PressRequest(base, None, ("F32",), tmp_path / "out", "plain"), console)
    (merged,) = press(PressRequest(base, adapter, ("F32",), tmp_path / "out", "merged"), console)
    lora = press_lora(LoraRequest(base, adapter, tmp_path / "out", "m", kind=kind), console)
    expected = after_each_token(merged.path, TOKENS)
    found = after_each_token(plain.path, TOKENS, lora.path)
    # llama.cpp keeps keys and values as float16, so that nothing is equal to the last bit.
    assert np.abs(found - expected).max() < {"F16": 5e-3, "F32": 2e-3}[kind]
    assert np.abs(found - after_each_token(plain.path, TOKENS)).max() > 0.1


def test_an_updated_embedding_is_stored_as_llama_cpp_looks_it_up(
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    save_tensors: Any,
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128, tied=False, dtype="F32")
    adapter = make_adapter(tmp_path / "adapter", {"model.embed_tokens.weight": (400, 64)})
    random = np.random.default_rng(3)
    module = "base_model.model.model.embed_tokens"
    save_tensors(
        adapter / "adapter_model.safetensors",
        {
            f"{module}.lora_embedding_A": ("F32", random.standard_normal((4, 400), dtype=np.float32) * 0.1),
            f"{module}.lora_embedding_B": ("F32", random.standard_normal((64, 4), dtype=np.float32) * 0.1),
        },
    )
    (plain,) = press(PressRequest(base, None, ("F32",), tmp_path / "out", "plain"), console)
    (merged,) = press(PressRequest(base, adapter, ("F32",), tmp_path / "out", "merged"), console)
    lora = press_lora(LoraRequest(base, adapter, tmp_path / "out", "m", kind="F32"), console)
    found = after_each_token(plain.path, TOKENS, lora.path)
    assert np.abs(found - after_each_token(merged.path, TOKENS)).max() < 2e-3


def test_the_file_says_that_it_is_an_adapter_and_to_what(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    from gguf import GGUFReader

    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128)
    adapter = make_adapter(tmp_path / "adapter", all_layers("starcoder2"), alpha=12)
    identity = ModelIdentity("Mine", license="MIT", base_models=(ModelOrigin("starcoder2-3b", "bigcode"),))
    lora = press_lora(LoraRequest(base, adapter, tmp_path / "out", "mine", identity), console)
    assert lora.path.name == "mine-F16-LoRA.gguf"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine-F16-LoRA.gguf"]
    assert lora.size == lora.path.stat().st_size
    reader = GGUFReader(lora.path)
    found = {key: field.contents() for key, field in reader.fields.items()}
    for key, value in {
        "general.architecture": "starcoder2",
        "general.type": "adapter",
        "general.name": "Mine",
        "general.license": "MIT",
        "general.base_model.0.name": "starcoder2-3b",
        "adapter.type": "lora",
        "adapter.lora.alpha": 12.0,
        "general.file_type": 1,
    }.items():
        assert found[key] == value
    names = [tensor.name for tensor in reader.tensors]
    assert len(names) == 24
    assert names[:2] == ["blk.0.attn_k.weight.lora_a", "blk.0.attn_k.weight.lora_b"]
    numbers = sum(4 * (outputs + inputs) for outputs, inputs in all_layers("starcoder2").values())
    assert sum(tensor.n_elements for tensor in reader.tensors) == numbers


def test_the_same_adapter_gives_the_same_bytes(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128)
    adapter = make_adapter(tmp_path / "adapter", all_layers("starcoder2"))
    made = [press_lora(LoraRequest(base, adapter, tmp_path / out, "m"), console) for out in "ab"]
    assert made[0].digest == made[1].digest


def test_what_a_lora_file_cannot_hold_is_refused(
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    save_tensors: Any,
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128)
    adapter = make_adapter(tmp_path / "adapter", all_layers("starcoder2"))
    bias = {"base_model.model.model.norm.bias": ("F32", np.zeros(64, np.float32))}
    save_tensors(adapter / "adapter_model.safetensors", bias)
    with pytest.raises(InputError, match="whole tensors") as caught:
        press_lora(LoraRequest(base, adapter, tmp_path / "out", "m"), console)
    assert "model.norm.bias" in str(caught.value.where)
    assert not (tmp_path / "out").exists()


def test_numbers_too_large_for_float16_are_refused(
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128)
    name = "model.layers.0.mlp.c_fc.weight"
    other = "model.layers.0.self_attn.k_proj.weight"
    adapter = make_adapter(tmp_path / "adapter", {name: (128, 64), other: (32, 64)}, alpha=1)
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"alpha_pattern": {"c_fc": 1_000_000}}))
    with pytest.raises(InputError, match="too large for F16") as caught:
        press_lora(LoraRequest(base, adapter, tmp_path / "out", "m"), console)
    assert "c_fc" in str(caught.value.where)
    assert list((tmp_path / "out").iterdir()) == []
