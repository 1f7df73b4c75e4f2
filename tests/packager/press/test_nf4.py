"""The round trip through NF4 against bitsandbytes' own, bit for bit, and what the press merges into."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.packager.press import PressRequest, press
from starfreight.packager.press.kernels import Floats, round_to
from starfreight.packager.press.nf4 import Nf4Scales, block_maxima, round_trip

UP = "model.layers.0.mlp.c_fc.weight"


def ours(values: Floats, dtype: str, parts: int = 1) -> Floats:
    """The round trip of a weight that is loaded as ``dtype``, worked on in some parts."""
    flat = round_to(values, dtype).reshape(-1)
    pieces = np.split(flat, [len(flat) // 64 // parts * 64 * part for part in range(1, parts)])
    futures: list[Future[Floats]] = [Future() for _ in pieces]
    for future, piece in zip(futures, pieces, strict=True):
        future.set_result(block_maxima(piece))
    scales = Nf4Scales(futures)
    done, first = [], 0
    for piece in pieces:
        done.append(round_to(round_trip(piece, scales, first), dtype))
        first += len(piece) // 64
    return np.concatenate(done).reshape(values.shape)


def theirs(values: Floats, dtype: str) -> Floats:
    """The same by bitsandbytes."""
    import torch
    from bitsandbytes import functional

    torch.set_num_threads(1)
    loaded = torch.from_numpy(values).to({"F32": torch.float32, "BF16": torch.bfloat16}[dtype])
    packed, state = functional.quantize_4bit(loaded, blocksize=64, compress_statistics=True, quant_type="nf4")
    back: Floats = functional.dequantize_4bit(packed, state).float().numpy()
    return back


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
@pytest.mark.parametrize(
    # Fewer blocks than torch's vectors hold; odd rows; more than one level of torch's sum.
    "shape",
    [(1, 64), (7, 64), (3, 10), (33, 50), (300, 192), (512, 4608), (1100, 2048)],
)
@pytest.mark.parametrize("kind", ["normal", "heavy-tailed", "zeros", "constant"])
def test_the_round_trip_is_that_of_bitsandbytes(kind: str, shape: tuple[int, int], dtype: str) -> None:
    random = np.random.default_rng(2)
    values = (random.standard_normal(shape) * 0.02).astype(np.float32)
    if kind == "heavy-tailed":
        values = (random.standard_t(2, shape) * 0.02).astype(np.float32)
    elif kind == "zeros":
        values[: (shape[0] + 1) // 2] = 0
    elif kind == "constant":
        values[...] = 0.03
    expected = theirs(values, dtype)
    assert np.array_equal(ours(values, dtype), expected)
    assert np.array_equal(ours(values, dtype, parts=3), expected)


@pytest.mark.parametrize(("architecture", "load_dtype"), [("starcoder2", "F32"), ("starcoder", "BF16")])
def test_the_press_merges_into_the_weights_that_training_saw(
    architecture: Literal["starcoder2", "starcoder"],
    load_dtype: Literal["F32", "BF16"],
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    console: Console,
    tmp_path: Path,
) -> None:
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit
    from gguf import GGUFReader
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    from starfreight.packager.press.architectures import architecture_plan

    torch.set_num_threads(1)
    base = make_checkpoint(tmp_path / "base", architecture, dtype="F32", tied=False, layers=1)
    up, shape = {
        "starcoder2": (UP, (512, 256)),
        "starcoder": ("transformer.h.0.attn.c_attn.weight", (384, 256)),
    }[architecture]
    adapter = make_adapter(tmp_path / "adapter", {up: shape}, target_modules=[up.split(".")[-2]])
    dtype = {"F32": torch.float32, "BF16": torch.bfloat16}[load_dtype]
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    trained: Any = AutoModelForCausalLM.from_pretrained(base, quantization_config=config, dtype=dtype)
    seen = {
        f"{name}.weight": dequantize_4bit(module.weight.data, module.weight.quant_state).float()
        for name, module in trained.named_modules()
        if isinstance(module, Linear4bit)
    }
    plain: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    plain.load_state_dict(plain.state_dict() | seen)
    merged = PeftModel.from_pretrained(plain, adapter).merge_and_unload().state_dict()

    (file,) = press(
        PressRequest(
            base, adapter, ("F32",), tmp_path / "out", "m", merge_base="nf4_roundtrip", load_dtype=load_dtype
        ),
        console,
    )
    reader = GGUFReader(file.path)
    assert reader.fields["starfreight.merge_base"].contents() == "nf4_roundtrip"
    found = {tensor.name: np.ascontiguousarray(tensor.data) for tensor in reader.tensors}
    for plan in architecture_plan(architecture).tensors(open_checkpoint(base).shape):
        assert np.array_equal(found[plan.name], merged[plan.source].numpy()), plan.name
    assert len(seen) == {"starcoder2": 6, "starcoder": 4}[architecture]


def test_any_number_of_threads_gives_the_same_round_trip(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=512, ffn=6000, layers=1, vocab_size=400)
    adapter = make_adapter(tmp_path / "adapter", {UP: (6000, 512)})
    digests = {}
    for threads in (1, 5):
        for merge_base in ("nf4_roundtrip", "original"):
            (file,) = press(
                PressRequest(
                    base, adapter, ("BF16",), tmp_path / "out", "m", threads=threads, merge_base=merge_base
                ),
                console,
            )
            digests[threads, merge_base] = file.digest
    assert digests[1, "nf4_roundtrip"] == digests[5, "nf4_roundtrip"]
    assert digests[1, "original"] == digests[5, "original"]
    assert digests[1, "original"] != digests[1, "nf4_roundtrip"]


@pytest.mark.filterwarnings("error")
def test_weights_that_are_not_finite_are_refused_by_name(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=512, ffn=3000, layers=1)
    adapter = make_adapter(tmp_path / "adapter", {UP: (3000, 512)})
    tensor = open_checkpoint(base).tensors[UP]
    with tensor.file.open("r+b") as stream:
        stream.seek(tensor.offset + tensor.size - 2)
        stream.write(np.array([0x7F80], np.uint16).tobytes())
    request = PressRequest(
        base, adapter, ("Q8_0",), tmp_path / "out", "m", threads=2, merge_base="nf4_roundtrip"
    )
    with pytest.raises(InputError, match="not finite") as caught:
        press(request, console)
    assert UP in str(caught.value.where)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_round_trip_without_an_adapter_is_refused(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", layers=1, hidden=64, ffn=64)
    request = PressRequest(base, None, ("Q8_0",), tmp_path / "out", "m", merge_base="nf4_roundtrip")
    with pytest.raises(RecipeError, match="no adapter"):
        press(request, console)


def test_what_the_adapter_puts_in_a_layers_place_does_not_go_through_four_bits(
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    save_tensors: Callable[..., None],
    console: Console,
    tmp_path: Path,
) -> None:
    from gguf import GGUFReader

    base = make_checkpoint(tmp_path / "base", layers=1, ffn=256, dtype="F32")
    adapter = make_adapter(tmp_path / "adapter", {UP: (256, 256)}, modules_to_save=["c_fc"])
    whole = np.random.default_rng(5).standard_normal((256, 256), dtype=np.float32)
    save_tensors(adapter / "adapter_model.safetensors", {f"base_model.model.{UP}": ("F32", whole)})
    request = PressRequest(base, adapter, ("F32",), tmp_path / "out", "m", merge_base="nf4_roundtrip")
    (file,) = press(request, console)
    found = {tensor.name: np.array(tensor.data) for tensor in GGUFReader(file.path).tensors}
    assert np.array_equal(found["blk.0.ffn_up.weight"], whole)
    assert len(np.unique(found["blk.0.ffn_down.weight"][0, :64])) <= 16
