"""Weights and adapters that the press refuses, naming the tensor and the file and leaving nothing behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.packager.press import PressRequest, press

UP = "model.layers.0.mlp.c_fc.weight"
SHAPE = (512, 256)


@pytest.fixture
def base(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A small StarCoder2 with a tied output layer."""
    return make_checkpoint(tmp_path / "base")


def refused(base: Path, adapter: Path | None, console: Console, quantization: str = "Q8_0") -> InputError:
    """The error that the press ends with. Nothing may be left in the output folder."""
    out = base.parent / "out"
    with pytest.raises(InputError) as caught:
        press(PressRequest(base, adapter, (quantization,), out, "m"), console)
    assert not out.exists() or list(out.iterdir()) == []
    return caught.value


def overwrite(base: Path, name: str, value: bytes) -> None:
    """Puts ``value`` over the first bytes of a tensor."""
    tensor = open_checkpoint(base).tensors[name]
    with tensor.file.open("r+b") as stream:
        stream.seek(tensor.offset)
        stream.write(value)


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0])
@pytest.mark.parametrize("name", [UP, "model.norm.bias"])
def test_weights_that_are_not_finite(base: Path, console: Console, bits: int, name: str) -> None:
    overwrite(base, name, np.array([bits], np.uint16).tobytes())
    error = refused(base, None, console)
    assert "not finite" in error.what
    assert error.where is not None
    assert name in error.where
    assert "model.safetensors" in error.where


def test_one_number_at_the_end_of_a_large_tensor_that_is_not_finite(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", vocab_size=5000, shards=3)
    tensor = open_checkpoint(base).tensors["model.embed_tokens.weight"]
    with tensor.file.open("r+b") as stream:
        stream.seek(tensor.offset + tensor.size - 2)
        stream.write(np.array([0x7FC0], np.uint16).tobytes())
    error = refused(base, None, console)
    assert "not finite" in error.what
    assert error.where == f"{tensor.file}: model.embed_tokens.weight"


@pytest.mark.parametrize("quantization", ["F32", "Q4_K_M"])
def test_a_whole_tensor_of_an_adapter_that_is_not_finite(
    base: Path,
    make_adapter: Callable[..., Path],
    save_tensors: Any,
    console: Console,
    tmp_path: Path,
    quantization: str,
) -> None:
    values = np.zeros(512, np.float32)
    values[-1] = -np.inf
    name = "base_model.model.model.layers.0.mlp.c_fc.bias"
    adapter = replaced_by({name: ("F32", values)}, save_tensors, make_adapter, tmp_path / "adapter")
    error = refused(base, adapter, console, quantization)
    assert "not finite" in error.what
    assert error.where == f"{adapter / 'adapter_model.safetensors'}: {name}"


@pytest.mark.parametrize(
    ("name", "size", "what"),
    [
        ("model-1.safetensors", -2, "2 bytes of this tensor are missing"),
        ("model-1.safetensors", 40, "is truncated"),
        ("model-1.safetensors", None, "no file model-1.safetensors"),
    ],
)
def test_a_shard_cut_short_or_missing(
    make_checkpoint: Callable[..., Path],
    console: Console,
    tmp_path: Path,
    name: str,
    size: int | None,
    what: str,
) -> None:
    base = make_checkpoint(tmp_path / "base", shards=3)
    shard = base / name
    if size is None:
        shard.unlink()
    else:
        os.truncate(shard, size if size > 0 else shard.stat().st_size + size)
    error = refused(base, None, console)
    assert what in error.what
    assert str(shard) in str(error.where)
    if size == -2:
        assert str(error.where).startswith(f"{shard}: model.")  # It names the tensor.


def test_a_tensor_that_no_shard_of_the_index_holds(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", shards=3)
    path = base / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"][UP] = (
        "model-2.safetensors" if index["weight_map"][UP] != "model-2.safetensors" else ("model-1.safetensors")
    )
    path.write_text(json.dumps(index))
    error = refused(base, None, console)
    assert "does not" in error.what
    assert error.where == f"{path}: {UP}"


@pytest.mark.parametrize(("quantization", "kind"), [("F16", "F16"), ("Q8_0", "Q8_0"), ("Q4_K_M", "Q4_K")])
def test_weights_too_large_for_a_type(base: Path, console: Console, quantization: str, kind: str) -> None:
    overwrite(base, UP, np.array([1e30], np.float32).tobytes()[2:])
    error = refused(base, None, console, quantization)
    assert f"too large for {kind}" in error.what
    assert UP in str(error.where)


def test_a_checkpoint_cut_short_while_it_is_read(base: Path, console: Console, monkeypatch: Any) -> None:
    from starfreight.checkpoint import TensorReader

    honest = TensorReader.rows

    def cut_then_read(self: TensorReader, tensor: Any, start: int, stop: int) -> Any:
        with tensor.file.open("r+b") as stream:
            stream.truncate(tensor.offset + 10)
        return honest(self, tensor, start, stop)

    monkeypatch.setattr(TensorReader, "rows", cut_then_read)
    assert "became shorter" in refused(base, None, console).what


@pytest.mark.parametrize("factor", ["A", "B"])
def test_an_adapter_that_is_not_finite(
    base: Path, make_adapter: Callable[..., Path], console: Console, factor: str, tmp_path: Path
) -> None:
    from starfreight.checkpoint import read_header

    adapter = make_adapter(tmp_path / "adapter", {UP: SHAPE})
    tensors = read_header(adapter / "adapter_model.safetensors")
    (tensor,) = (tensor for name, tensor in tensors.items() if f"lora_{factor}" in name)
    with tensor.file.open("r+b") as stream:
        stream.seek(tensor.offset + 4)
        stream.write(np.array([np.nan], np.float32).tobytes())
    error = refused(base, adapter, console)
    assert f"{UP.removesuffix('.weight')}.lora_{factor}.weight" in str(error.where)


def test_a_merge_that_leaves_the_range_of_the_base(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "half", dtype="F16")
    adapter = make_adapter(tmp_path / "adapter", {UP: SHAPE}, rank=1, alpha=1e6)
    error = refused(base, adapter, console)
    assert "beyond the range of F16" in error.what
    assert UP in str(error.where)


@pytest.mark.parametrize(
    ("weights", "where"),
    [
        ({UP: (512, 128)}, UP),
        ({UP: (1024, 256)}, UP),
        ({"model.layers.7.mlp.c_fc.weight": SHAPE}, "layers.7"),
        ({"transformer.h.0.attn.c_attn.weight": SHAPE}, "c_attn"),
        ({"model.layers.0.input_layernorm.weight": (256, 1)}, "input_layernorm"),
    ],
)
def test_an_adapter_of_another_base(
    base: Path,
    make_adapter: Callable[..., Path],
    console: Console,
    tmp_path: Path,
    weights: Mapping[str, tuple[int, int]],
    where: str,
) -> None:
    error = refused(base, make_adapter(tmp_path / "adapter", weights), console)
    assert where.removesuffix(".weight") in str(error.where)
    assert error.fix == "use the base model the adapter was trained on"


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"lora_bias": True}, "lora_bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"target_parameters": ["x"]}, "target_parameters"),
        ({"r": 5}, "rank 5"),
        ({"r": "4"}, "r is '4'"),
        ({"r": 0}, "r is 0"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"rank_pattern": {"c_fc": 2}}, "rank 2"),
        ({"rank_pattern": {"(a+)+": 2}}, "repetition"),
        ({"alpha_pattern": {"(c_fc": 2}}, "not a valid regular expression"),
    ],
)
def test_an_adapter_that_is_no_plain_lora(
    base: Path,
    make_adapter: Callable[..., Path],
    console: Console,
    tmp_path: Path,
    config: Mapping[str, Any],
    what: str,
) -> None:
    adapter = make_adapter(tmp_path / "adapter", {UP: SHAPE})
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    assert what in refused(base, adapter, console).what


def replaced_by(tensors: Mapping[str, tuple[str, np.ndarray]], save: Any, make: Any, folder: Path) -> Path:
    """An adapter with other tensors than it was made with."""
    adapter: Path = make(folder, {UP: SHAPE})
    save(adapter / "adapter_model.safetensors", tensors)
    return adapter


@pytest.mark.parametrize(
    ("name", "shape", "what"),
    [
        ("model.layers.0.mlp.c_fc.lora_A.weight", (4, 256), "only one factor"),
        ("model.layers.0.mlp.c_fc.lora_magnitude_vector", (512,), "DoRA"),
        ("model.embed_tokens.weight", (400, 256), "tied"),
        ("model.norm.weight", (128,), "has the shape [128]"),
        ("model.surprise.weight", (4, 4), "does not have"),
    ],
)
def test_an_adapter_with_tensors_that_do_not_belong(
    base: Path,
    make_adapter: Callable[..., Path],
    save_tensors: Any,
    console: Console,
    tmp_path: Path,
    name: str,
    shape: tuple[int, ...],
    what: str,
) -> None:
    tensors = {f"base_model.model.{name}": ("F32", np.zeros(shape, np.float32))}
    adapter = replaced_by(tensors, save_tensors, make_adapter, tmp_path / "adapter")
    error = refused(base, adapter, console)
    assert what in error.what
    assert error.where is not None


def test_an_adapter_without_any_tensor(
    base: Path, make_adapter: Callable[..., Path], save_tensors: Any, console: Console, tmp_path: Path
) -> None:
    adapter = replaced_by({}, save_tensors, make_adapter, tmp_path / "adapter")
    assert "changes no weight" in refused(base, adapter, console).what


def test_an_adapter_with_pickled_weights(
    base: Path, make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "adapter", {UP: SHAPE})
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert "pickled" in refused(base, adapter, console).what


def test_an_adapter_whose_weights_are_a_link_to_elsewhere(
    base: Path, make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "adapter", {UP: SHAPE})
    (adapter / "adapter_model.safetensors").rename(tmp_path / "elsewhere")
    (adapter / "adapter_model.safetensors").symlink_to(tmp_path / "elsewhere")
    assert "leads out" in refused(base, adapter, console).what


def test_a_tokenizer_larger_than_the_embedding(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "small", vocab_size=300)
    assert "has 400 tokens" in refused(base, None, console).what
