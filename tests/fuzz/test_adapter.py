"""Configurations of adapters, and the keys of their tensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzzing import changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.checkpoint import open_checkpoint
from starfreight.packager.press.adapter import open_adapter

MODULE = "model.layers.0.self_attn.q_proj"
PARTS = (
    "base_model", "model", MODULE, "lm_head", "norm", "module", "_orig_mod", "lora_A", "lora_B",
    "lora_embedding_A", "default", "other", "weight", "bias", "base_layer", "modules_to_save",
    "original_module", "lora_magnitude_vector", "", "é",
)  # fmt: skip


def test_a_configuration_of_changed_values(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], tmp_path: Path
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(tmp_path / "base", hidden=64, ffn=128))
    adapter = make_adapter(
        tmp_path / "adapter", {f"{MODULE}.weight": (64, 64)}, rank_pattern={"q_proj": 4},
        alpha_pattern={MODULE: 8}, use_rslora=False, use_dora=False, target_modules=["q_proj"], bias="none",
        modules_to_save=None, fan_in_fan_out=False,
    )  # fmt: skip
    path = adapter / "adapter_config.json"
    assert open_adapter(adapter, checkpoint).factors

    @fuzz
    @given(data=changed_json(json.loads(path.read_text())))
    def read(data: bytes) -> None:
        path.write_bytes(data)
        holds(lambda: open_adapter(adapter, checkpoint))

    read()


def test_keys_of_any_parts(
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    save_tensors: Any,
    tmp_path: Path,
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(tmp_path / "base", hidden=64, ffn=128))
    adapter = make_adapter(tmp_path / "adapter", {f"{MODULE}.weight": (64, 64)})
    keys = st.lists(st.sampled_from(PARTS), min_size=1, max_size=7).map(".".join)

    @fuzz
    @given(names=st.lists(keys, max_size=4, unique=True))
    def read(names: list[str]) -> None:
        save_tensors(
            adapter / "adapter_model.safetensors",
            {name: ("F32", np.zeros((4, 64), np.float32)) for name in names},
        )
        holds(lambda: open_adapter(adapter, checkpoint))

    read()
