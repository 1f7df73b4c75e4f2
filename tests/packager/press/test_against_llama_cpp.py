"""The press against llama.cpp's own quantiser, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.packager.press import PressRequest, Quantization, predict_size, press
from starfreight.quantization import FILE_TYPES

FLOATS = (Quantization.F32, Quantization.F16, Quantization.BF16)
QUANTISED = tuple(item for item in Quantization if item not in FLOATS)
BY_LAYER = tuple(
    map(
        Quantization,
        ("Q5_K_M", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_M", "Q2_K"),
    )
)
"""Those whose types depend on a layer's number (some with a matrix alone), or on heads that share a value."""

Reference = Callable[..., bytes]

SHAPES = {
    "tied": {"layers": 2},
    "untied-17-layers": {"layers": 17, "tied": False, "ffn": 256, "kv_heads": 1},
    "resized-vocabulary": {"vocab_size": 450, "layers": 1},
    "rows-of-64": {"hidden": 64, "ffn": 192, "layers": 3},
    "rows-of-96-untied": {"hidden": 96, "ffn": 256, "layers": 3, "tied": False},
    "float16": {"dtype": "F16", "layers": 1},
    "float32": {"dtype": "F32", "layers": 1},
}


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("shape", SHAPES)
def test_quantised_files_equal_those_of_llama_cpp(
    architecture: str,
    shape: str,
    make_checkpoint: Callable[..., Path],
    reference: Reference,
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", architecture, **SHAPES[shape])
    unquantised = Quantization(str(SHAPES[shape].get("dtype", "BF16")))
    wanted = BY_LAYER if "layers" in shape else QUANTISED
    files = press(PressRequest(base, None, (unquantised, *wanted), tmp_path / "out", "m"), console)
    for file in files[1:]:
        expected = reference(files[0].path, tmp_path / "reference.gguf", FILE_TYPES[file.quantization])
        assert file.path.read_bytes() == expected, file.quantization


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_files_of_floats_equal_those_of_llama_cpp(
    architecture: str,
    make_checkpoint: Callable[..., Path],
    reference: Reference,
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", architecture, dtype="F32", tied=False, hidden=40, ffn=50)
    plain, *files = press(PressRequest(base, None, FLOATS, tmp_path / "out", "m"), console)
    for file in files:
        expected = reference(plain.path, tmp_path / "reference.gguf", FILE_TYPES[file.quantization])
        assert file.path.read_bytes() == expected, file.quantization


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_rows_of_no_whole_block_become_float16_as_in_llama_cpp(
    architecture: str,
    make_checkpoint: Callable[..., Path],
    reference: Reference,
    console: Console,
    tmp_path: Path,
) -> None:
    from gguf import GGMLQuantizationType, GGUFReader

    base = make_checkpoint(tmp_path / "base", architecture, hidden=64, ffn=200, layers=3)
    # Of the others llama.cpp makes no file for such rows.
    mixes = tuple(item for item in QUANTISED if "_K" in item or item == "IQ4_XS")
    plain, *files = press(PressRequest(base, None, ("BF16", *mixes), tmp_path / "out", "m"), console)
    for file in files:
        expected = reference(plain.path, tmp_path / "reference.gguf", FILE_TYPES[file.quantization])
        assert file.path.read_bytes() == expected, file.quantization
    small = next(file for file in files if file.quantization == "Q4_K_M")
    kinds = {tensor.name: tensor.tensor_type for tensor in GGUFReader(small.path).tensors}
    assert kinds["blk.0.ffn_down.weight"] == GGMLQuantizationType.F16
    assert kinds["blk.0.ffn_up.weight"] == GGMLQuantizationType.Q5_0


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_an_adapter_is_quantised_as_llama_cpp_quantises_the_merged_model(
    architecture: str,
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    reference: Reference,
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", architecture)
    name, shape = {
        "starcoder2": ("model.layers.1.mlp.c_proj.weight", (256, 512)),
        "starcoder": ("transformer.h.1.attn.c_attn.weight", (384, 256)),
    }[architecture]
    adapter = make_adapter(tmp_path / "adapter", {name: shape})
    request = PressRequest(base, adapter, ("BF16", "Q5_K_M"), tmp_path / "out", "m")
    merged, small = press(request, console)
    expected = reference(merged.path, tmp_path / "reference.gguf", FILE_TYPES[small.quantization])
    assert small.path.read_bytes() == expected
    (plain,) = press(PressRequest(base, None, ("Q5_K_M",), tmp_path / "plain", "m"), console)
    assert plain.digest != small.digest


WITH_IMATRIX = {
    "tied": {"layers": 1},
    "untied-9-layers": {"layers": 9, "tied": False, "ffn": 256, "kv_heads": 1},
    "rows-of-96": {"hidden": 96, "ffn": 256, "layers": 3},
}


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("shape", WITH_IMATRIX)
def test_files_with_an_importance_matrix_equal_those_of_llama_cpp(
    architecture: str,
    shape: str,
    make_checkpoint: Callable[..., Path],
    make_imatrix: Callable[..., Path],
    reference: Reference,
    console: Console,
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", architecture, **WITH_IMATRIX[shape])
    imatrix, model = make_imatrix(base, tmp_path / "imatrix.gguf"), open_checkpoint(base).shape
    wanted = BY_LAYER if shape.startswith("untied") else QUANTISED
    (plain,) = press(PressRequest(base, None, ("BF16",), tmp_path / "plain", "m"), console)
    without = press(PressRequest(base, None, wanted, tmp_path / "without", "m"), console)
    files = press(PressRequest(base, None, wanted, tmp_path / "out", "m", imatrix=imatrix), console)
    for file, other in zip(files, without, strict=True):
        expected = reference(plain.path, tmp_path / "reference.gguf", FILE_TYPES[file.quantization], imatrix)
        assert file.path.read_bytes() == expected, file.quantization
        assert weights_of(file.path) != weights_of(other.path) or file.quantization == "Q8_0"
        assert 0 <= predict_size(model, file.quantization, imatrix=True) - file.size < 20_000


def weights_of(path: Path) -> list[bytes]:
    """What stands behind a file's header, tensor by tensor."""
    from gguf import GGUFReader

    return [tensor.data.tobytes() for tensor in GGUFReader(path).tensors]
