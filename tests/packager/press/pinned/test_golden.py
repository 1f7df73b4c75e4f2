"""The bytes of every kind of file, pinned: a press of any later version makes the same of the same model.

The model is made of digests, so that it is the same everywhere. ``golden/press.json`` changes only with a
reason that the changelog tells.
"""

from __future__ import annotations

import importlib
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType

from starfreight.console import Console
from starfreight.packager.press import (
    LoraRequest,
    ModelIdentity,
    ModelOrigin,
    PressRequest,
    Quantization,
    press,
    press_lora,
)
from starfreight.packager.press.kernels import Accelerator, Floats

GOLDEN = Path(__file__).parents[2] / "golden" / "press.json"
BASES: dict[str, dict[str, Any]] = {
    "starcoder2": {"hidden": 256, "ffn": 288, "layers": 3, "spare": 35, "tied": False, "rope_theta": 10000.0},
    "starcoder": {"hidden": 256, "ffn": 1024, "layers": 1, "spare": 23, "tied": True},
}
ADAPTED = {
    "starcoder2": ("model.layers.1.mlp.c_proj", 256, 288),
    "starcoder": ("transformer.h.0.attn.c_attn", 384, 256),
}


class Device(Accelerator):
    """A GPU, or torch on the processor in its place; it keeps the types that it did."""

    def __init__(self) -> None:
        import torch

        super().__init__("cuda" if torch.cuda.is_available() else "cpu", waits=True)
        self.did: set[str] = set()

    def quantise(self, values: Floats, kind: GGMLQuantizationType) -> Any:
        made = super().quantise(values, kind)
        self.did |= {kind.name} if made is not None else set()
        return made


@pytest.fixture(params=["on the cores", "by torch"])
def quantised(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has the fast kernels' types quantised on the cores or by torch."""
    if request.param == "on the cores":
        yield
        return
    pytest.importorskip("torch")
    device = Device()
    module = importlib.import_module("starfreight.packager.press.press")
    monkeypatch.setattr(module, "find_accelerator", lambda *choice: device)
    yield
    assert device.did == {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"}
    assert device.trouble is None


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="ggml's own kernels are built otherwise elsewhere"
)
@pytest.mark.usefixtures("quantised")
@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_every_file_is_the_one_it_has_always_been(
    architecture: str,
    pin_base: Callable[..., Path],
    numbers: Callable[..., np.ndarray],
    save_tensors: Callable[[Path, Any], None],
    console: Console,
    tmp_path: Path,
) -> None:
    base, adapter = pin_base(tmp_path / "base", architecture, **BASES[architecture]), tmp_path / "adapter"
    adapter.mkdir()
    module, outputs, inputs = ADAPTED[architecture]
    factors = {
        f"base_model.model.{module}.lora_A.weight": ("F32", numbers("A", (8, inputs))),
        f"base_model.model.{module}.lora_B.weight": ("F32", numbers("B", (outputs, 8))),
    }
    save_tensors(adapter / "adapter_model.safetensors", factors)
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8, "lora_alpha": 16}')

    identity = ModelIdentity("Golden", license="MIT", base_models=(ModelOrigin("base", version="1"),))
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
