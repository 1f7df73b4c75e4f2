"""The adapter of each module of both architectures: separate, merged, and as PEFT runs it in transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import log_probabilities

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.packager.press import LoraRequest, PressRequest, press, press_lora

MODULES = {
    "starcoder2": ["embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj", "lm_head"],
    "starcoder": ["wte", "c_attn", "attn.c_proj", "c_fc", "mlp.c_proj", "lm_head"],
}
TOKENS = [5, 90, 1, 100, 350, 60, 3, 77, 30, 2, 200]
LIMIT = 1e-2
"""llama.cpp keeps keys and values as float16."""


def last_log_probabilities(gguf: Path, lora: Path | None = None) -> np.ndarray:
    """llama.cpp's log-probabilities after the tokens."""
    return log_probabilities(gguf, [TOKENS], lora)[0]


@pytest.fixture(scope="module")
def bases(
    make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Path, Path]]]:
    """A base of each architecture, and its GGUF."""
    made = {}
    for architecture in MODULES:
        root = tmp_path_factory.mktemp(architecture)
        base = make_checkpoint(
            root / "base", architecture, hidden=64, ffn=128, tied=False, dtype="F32", context=64
        )
        (plain,) = press(PressRequest(base, None, ("F32",), root / "out", "plain"), Console(quiet=True))
        made[architecture] = base, plain.path
    yield made


def train_adapter(base: Path, folder: Path, targets: Sequence[str], **config: Any) -> np.ndarray:
    """Saves a random adapter by PEFT; returns the log-probabilities of transformers with it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 8, "init_lora_weights": False, **config}
    tuned = get_peft_model(model, LoraConfig(target_modules=list(targets), **settings))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_" in name:
                parameter.mul_(2)
            elif parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    tuned.save_pretrained(folder)
    tuned.eval()
    with torch.no_grad():
        return np.asarray(tuned(torch.tensor([TOKENS])).logits[0, -1].log_softmax(-1).numpy())


@pytest.mark.parametrize(
    ("architecture", "target", "config"),
    [
        *((architecture, target, {}) for architecture, targets in MODULES.items() for target in targets),
        ("starcoder2", "c_fc", {"use_rslora": True, "rank_pattern": {"layers.1.mlp.c_fc": 2}}),
        ("starcoder2", "c_fc", {"layers_to_transform": [1], "alpha_pattern": {"c_fc": 5}}),
        ("starcoder", "c_proj", {"exclude_modules": ["transformer.h.0.mlp.c_proj"]}),
    ],
)
def test_an_adapter_beside_its_base_equals_the_merged_model_and_the_trained_one(
    architecture: str,
    target: str,
    config: dict[str, Any],
    bases: dict[str, tuple[Path, Path]],
    console: Console,
    tmp_path: Path,
) -> None:
    base, plain = bases[architecture]
    expected = train_adapter(base, tmp_path / "adapter", [target], **config)
    (merged,) = press(PressRequest(base, tmp_path / "adapter", ("F32",), tmp_path / "out", "merged"), console)
    lora = press_lora(LoraRequest(base, tmp_path / "adapter", tmp_path / "out", "m", kind="F32"), console)
    assert np.abs(last_log_probabilities(merged.path) - expected).max() < LIMIT
    assert np.abs(last_log_probabilities(plain, lora.path) - expected).max() < LIMIT
    assert np.abs(last_log_probabilities(plain) - expected).max() > 10 * LIMIT


@pytest.mark.parametrize(
    ("architecture", "targets", "config", "where"),
    [
        ("starcoder", ["wpe"], {}, "transformer.wpe"),
        ("starcoder", ["wte", "wpe", "c_attn"], {}, "transformer.wpe"),
        ("starcoder", ["c_fc"], {"modules_to_save": ["wpe"]}, "transformer.wpe"),
        ("starcoder", ["c_fc"], {"bias": "all"}, "bias"),
        ("starcoder2", ["c_fc"], {"bias": "lora_only"}, "c_fc.bias"),
        ("starcoder2", ["c_fc"], {"modules_to_save": ["norm"]}, "norm"),
        ("starcoder2", ["c_fc"], {"modules_to_save": ["lm_head"]}, "lm_head"),
        ("starcoder2", ["c_fc"], {"modules_to_save": ["embed_tokens"]}, "embed_tokens"),
    ],
)
def test_a_change_that_llama_cpp_does_not_apply_is_refused_by_name_but_can_be_merged(
    architecture: str,
    targets: list[str],
    config: dict[str, Any],
    where: str,
    bases: dict[str, tuple[Path, Path]],
    console: Console,
    tmp_path: Path,
) -> None:
    base, _ = bases[architecture]
    expected = train_adapter(base, tmp_path / "adapter", targets, **config)
    with pytest.raises(InputError) as caught:
        press_lora(LoraRequest(base, tmp_path / "adapter", tmp_path / "lora", "m"), console)
    assert where in caught.value.what
    assert "ship: merged" in str(caught.value.fix)
    assert not (tmp_path / "lora").exists()
    (merged,) = press(PressRequest(base, tmp_path / "adapter", ("F32",), tmp_path / "out", "merged"), console)
    assert np.abs(last_log_probabilities(merged.path) - expected).max() < LIMIT
