"""Keys of adapters as other tools write them: read if unambiguous, refused by name otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import TensorReader, open_checkpoint, read_header
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.packager.press import LoraRequest, PressRequest, press, press_lora
from starfreight.packager.press.adapter import open_adapter

PEFT = "base_model.model."
OTHER_BASE = "use the base model the adapter was trained on"
WEIGHTS = {
    "starcoder2": {
        "model.layers.0.self_attn.q_proj.weight": (64, 64),
        "model.layers.1.mlp.c_fc.weight": (128, 64),
        "lm_head.weight": (400, 64),
    },
    "starcoder": {
        "transformer.h.0.attn.c_attn.weight": (96, 64),
        "transformer.h.1.mlp.c_fc.weight": (128, 64),
    },
}
Rename = Callable[[str], str]


@pytest.fixture
def rename_keys(
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    save_tensors: Any,
    tmp_path: Path,
) -> Callable[..., tuple[Path, Path, Path]]:
    """Makes a base, an adapter, and the same adapter with other keys."""

    def make(rename: Rename, architecture: str = "starcoder2", **more: Any) -> tuple[Path, Path, Path]:
        base = make_checkpoint(tmp_path / "base", architecture, hidden=64, ffn=128, tied=False)
        adapters = [make_adapter(tmp_path / name, WEIGHTS[architecture]) for name in ("peft", "other")]
        path = adapters[1] / "adapter_model.safetensors"
        with TensorReader() as reader:
            tensors = {
                rename(name): (tensor.dtype, reader.rows(tensor, 0, tensor.shape[0]))
                for name, tensor in read_header(path).items()
            }
        save_tensors(path, tensors | more)
        return base, *adapters

    return make


def named(key: str) -> str:
    """As in the state of a model with an adapter called "default"."""
    return key.replace(".weight", ".default.weight")


STYLES: dict[str, Rename] = {
    "named adapter": named,
    "doubled prefix": lambda key: PEFT + key,
    "tripled prefix": lambda key: PEFT + PEFT + key,
    "no prefix": lambda key: key.removeprefix(PEFT),
    "data parallel": lambda key: f"module.{named(key)}",
    "compiled": lambda key: f"_orig_mod.{key}",
    "compiled inside": lambda key: key.replace(PEFT, f"{PEFT}_orig_mod."),
    "compiled layers": lambda key: re.sub(r"\.(layers|h)\.(\d)", r".\1.\2._orig_mod", key),
    "FSDP": lambda key: "_fsdp_wrapped_module." + re.sub(r"\.(\d)", r".\1._fsdp_wrapped_module", named(key)),
    "checkpointing": lambda key: re.sub(r"\.(\d)", r".\1._checkpoint_wrapped_module", key),
    "Lightning": lambda key: f"_forward_module.model.{named(key)}",
    "without the head": lambda key: re.sub(r"model\.(model|transformer)\.", "model.", key),
    "no .weight": lambda key: key.removesuffix(".weight"),
}


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("style", STYLES)
def test_keys_that_belong_to_one_weight_each_give_the_same_files(
    style: str, architecture: str, rename_keys: Callable[..., tuple[Path, Path, Path]], tmp_path: Path
) -> None:
    base, *adapters = rename_keys(STYLES[style], architecture)
    digests = []
    for adapter in adapters:
        out = tmp_path / "out" / adapter.name
        (merged,) = press(PressRequest(base, adapter, ("F16",), out, "m"), Console(quiet=True))
        lora = press_lora(LoraRequest(base, adapter, out, "m"), Console(quiet=True))
        digests.append((merged.digest, lora.digest))
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "rename",
    [
        lambda key: key.replace("lora_A", "lora_a").replace("lora_B", "lora_b"),
        lambda key: key.replace("lora_A", "lora_down").replace("lora_B", "lora_up"),
        lambda key: key.removeprefix(PEFT).replace("self_attn", "attn").replace(".mlp.", ".ffn."),
        lambda key: "lora_unet_" + key.replace(".", "_"),
        lambda key: f"policy.{key}",
        lambda key: f"module.{key}".replace("layers", "blocks"),
        lambda key: (PEFT + key).replace("layers", "blocks"),
        lambda key: named(key).replace("layers", "blocks"),
        lambda key: key.replace(".weight", ".default.extra.weight"),
        lambda key: key.replace("lora_B.weight", "lora_B.bias"),
    ],
)
def test_odd_keys_are_called_odd_and_one_is_named(
    rename: Rename, rename_keys: Callable[..., tuple[Path, Path, Path]]
) -> None:
    base, _, adapter = rename_keys(rename)
    with pytest.raises(InputError, match="not in PEFT's layout") as caught:
        open_adapter(adapter, open_checkpoint(base))
    keys = read_header(adapter / "adapter_model.safetensors")
    assert any(f": {key}." in caught.value.what for key in keys)
    assert "save_pretrained" in str(caught.value.fix)
    assert OTHER_BASE not in str(caught.value.fix)


def test_two_keys_of_one_factor_are_refused(rename_keys: Callable[..., tuple[Path, Path, Path]]) -> None:
    zeros = ("F32", np.zeros((4, 64), np.float32))
    key = f"{PEFT}model.layers.0.self_attn.q_proj.lora_A.weight"
    base, _, adapter = rename_keys(lambda key: key, **{f"module.{key}": zeros})
    with pytest.raises(InputError, match="Two tensors") as caught:
        open_adapter(adapter, open_checkpoint(base))
    assert key in caught.value.what
    assert f"module.{key}" in str(caught.value.where)


@pytest.mark.parametrize("of_each_weight", [False, True])
def test_several_adapters_in_one_file_are_refused(
    of_each_weight: bool, rename_keys: Callable[..., tuple[Path, Path, Path]]
) -> None:
    def rename(key: str) -> str:
        return key.replace(".weight", ".second.weight" if "c_fc" in key else ".first.weight")

    key = f"{PEFT}model.layers.0.self_attn.q_proj.lora_A.second.weight"
    more = {key: ("F32", np.zeros((4, 64), np.float32))} if of_each_weight else {}
    base, _, adapter = rename_keys(rename, **more)
    with pytest.raises(InputError, match="several adapters: first and second"):
        open_adapter(adapter, open_checkpoint(base))


def test_the_state_of_a_whole_peft_model_gives_the_files_of_its_saved_adapter(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128, tied=False, dtype="F32")
    torch.manual_seed(1)
    config = LoraConfig(
        r=4, target_modules=["q_proj", "embed_tokens"], modules_to_save=["lm_head"], init_lora_weights=False
    )
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    with torch.no_grad():
        tuned.base_model.model.lm_head.modules_to_save["default"].weight.add_(0.25)
    digests = []
    for name in ("saved", "state"):
        tuned.save_pretrained(tmp_path / name)
        if name == "state":
            state = {f"module.{key}": tensor.clone() for key, tensor in tuned.state_dict().items()}
            save_file(state, tmp_path / name / "adapter_model.safetensors")
        (merged,) = press(
            PressRequest(base, tmp_path / name, ("F32",), tmp_path / f"{name}.out", "m"), Console(quiet=True)
        )
        digests.append(merged.digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("name", "factors", "what"),
    [
        ("lm_head", ("lora_A.weight", "lora_B.weight"), "tied to the embedding"),
        ("model.embed_tokens", ("lora_A.weight", "lora_B.weight"), "as a linear layer"),
        ("model.layers.0.self_attn.q_proj", ("lora_embedding_A", "lora_embedding_B"), "as an embedding"),
        ("model.norm", ("lora_A.weight", "lora_B.weight"), "not a matrix"),
    ],
)
def test_an_update_that_peft_would_not_apply_to_this_module_is_refused(
    name: str,
    factors: tuple[str, str],
    what: str,
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    save_tensors: Any,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=128)
    adapter = make_adapter(tmp_path / "adapter", {})
    shapes = ((4, 64), (64 if "q_proj" in name else 400, 4))
    tensors = {
        f"{PEFT}{name}.{factor}": ("F32", np.ones(shape, np.float32))
        for factor, shape in zip(factors, shapes, strict=True)
    }
    save_tensors(adapter / "adapter_model.safetensors", tensors)
    with pytest.raises(InputError, match=what):
        open_adapter(adapter, open_checkpoint(base))
