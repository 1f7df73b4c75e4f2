"""The bytes of every kind of file, pinned: a press of any later version makes the same of the same model.

The model is made of digests, so that it is the same everywhere. ``golden/press.json`` changes only with a
reason that the changelog tells.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from packager.press import LoraRequest, ModelIdentity, Origin, PressRequest, Quantization, press, press_lora
from starfreight.checkpoint import read_config
from starfreight.checkpoint.layout import expected_tensors
from starfreight.console import Console

GOLDEN = Path(__file__).parents[1] / "golden" / "press.json"
CONFIGS: dict[str, dict[str, Any]] = {
    "starcoder2": {
        "model_type": "starcoder2", "hidden_size": 256, "intermediate_size": 288, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 1, "max_position_embeddings": 128,
        "norm_epsilon": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
    },
    "starcoder": {
        "model_type": "gpt_bigcode", "n_embd": 256, "n_inner": 1024, "n_layer": 1, "n_head": 4,
        "n_positions": 128, "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
    },
}  # fmt: skip
COMMON = {
    "vocab_size": 300, "bos_token_id": 0, "eos_token_id": 0, "use_bias": True, "multi_query": True,
    "hidden_act": "gelu_pytorch_tanh", "activation_function": "gelu_pytorch_tanh",
}  # fmt: skip
SPECIAL = {
    "starcoder2": "<|endoftext|> <fim_prefix> <fim_middle> <fim_suffix> <fim_pad> <repo_name> <file_sep>",
    "starcoder": "<|endoftext|> <fim_prefix> <fim_middle> <fim_suffix> <fim_pad> <filename> <gh_stars> "
    "<issue_start> <issue_comment> <issue_closed> <jupyter_start> <jupyter_text> <jupyter_code> "
    "<jupyter_output> <empty_output> <commit_before> <commit_msg> <commit_after> <reponame>",
}
ADAPTED = {
    "starcoder2": ("model.layers.1.mlp.c_proj", 256, 288),
    "starcoder": ("transformer.h.0.attn.c_attn", 384, 256),
}


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float32 numbers that follow from a name: a few large ones, many small ones, of both signs."""
    count = int(np.prod(shape))
    raw = np.frombuffer(hashlib.shake_128(name.encode()).digest(8 * count), dtype="<i4").reshape(2, count)
    small, large = raw.astype(np.float32) / np.float32(2**31)
    return (small * small * large * np.float32(0.25)).reshape(shape)


def bfloat16(values: np.ndarray) -> tuple[str, np.ndarray]:
    """Numbers cut off to bfloat16, as a safetensors entry."""
    return "BF16", (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.uint16)


def tokenizer(architecture: str) -> dict[str, Any]:
    """A byte-level tokenizer with StarCoder's special tokens and two merges."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = [chr(byte) for byte in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    special = SPECIAL[architecture].split()
    texts = [*special, *alphabet, "de", "def"]
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for number, text in enumerate(special)
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            ],
        },
        "decoder": {"type": "ByteLevel"},
        "model": {
            "type": "BPE",
            "vocab": {text: number for number, text in enumerate(texts)},
            "merges": [["d", "e"], ["de", "f"]],
        },
    }  # fmt: skip


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="ggml's own kernels are built otherwise elsewhere"
)
@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_every_file_is_the_one_it_has_always_been(
    architecture: Literal["starcoder2", "starcoder"],
    save_tensors: Callable[[Path, Any], None],
    console: Console,
    tmp_path: Path,
) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    adapter.mkdir()
    (base / "config.json").write_text(json.dumps(CONFIGS[architecture] | COMMON))
    (base / "tokenizer.json").write_text(json.dumps(tokenizer(architecture)))
    (base / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    weights = expected_tensors(read_config(base / "config.json"))
    save_tensors(
        base / "model.safetensors", {name: bfloat16(numbers(name, shape)) for name, shape in weights.items()}
    )
    module, outputs, inputs = ADAPTED[architecture]
    factors = {
        f"base_model.model.{module}.lora_A.weight": ("F32", numbers("A", (8, inputs))),
        f"base_model.model.{module}.lora_B.weight": ("F32", numbers("B", (outputs, 8))),
    }
    save_tensors(adapter / "adapter_model.safetensors", factors)
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8, "lora_alpha": 16}')

    identity = ModelIdentity("Golden", license="MIT", base_models=(Origin("base", version="1"),))
    request = PressRequest(base, adapter, tuple(Quantization), tmp_path / "out", "m", identity)
    found = {str(file.quantization): file.digest for file in press(request, console)}
    for dtype in ("F32", "BF16"):
        (file,) = press(
            PressRequest(
                base, adapter, ("BF16",), tmp_path / "out", "nf4", identity,
                merge_base="nf4_roundtrip", load_dtype=dtype,
            ),
            console,
        )  # fmt: skip
        found[f"BF16 through NF4 in {dtype}"] = file.digest
    found["LoRA"] = press_lora(LoraRequest(base, adapter, tmp_path / "out", "m", identity), console).digest
    assert found == json.loads(GOLDEN.read_text())[architecture]
