"""The first part in which two GGUF files differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

from starfreight.packager.provenance.rebuild.compare_files import compare_files
from starfreight.packager.provenance.rebuild.gguf_parts import read_parts

WEIGHTS = np.linspace(-1, 1, 64 * 32, dtype=np.float32).reshape(32, 64)


def save(
    path: Path, *, name: str = "a model", tokens: tuple[str, ...] = ("a", "b"), keys: tuple[str, ...] = (),
    tensors: dict[str, Any] | None = None, kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
) -> Path:  # fmt: skip
    writer = GGUFWriter(path, "starcoder2")
    writer.add_name(name)
    writer.add_token_list(list(tokens))
    for key in keys:
        writer.add_uint32(key, 1)
    for tensor, values in (tensors or {"one": WEIGHTS, "two": WEIGHTS}).items():
        writer.add_tensor(tensor, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_equal_files_have_no_difference(tmp_path: Path) -> None:
    assert compare_files(save(tmp_path / "a"), save(tmp_path / "b")) is None


@pytest.mark.parametrize(
    ("change", "part", "name", "what"),
    [
        ({"name": "another"}, "key", "general.name", "'a model' in the published file, 'another' in the"),
        ({"tokens": ("a", "c")}, "key", "tokenizer.ggml.tokens", "(an array of 2) has other contents"),
        ({"tokens": ("a",)}, "key", "tokenizer.ggml.tokens", "array of 2' in the published file, 'an"),
        ({"keys": ("more",)}, "key", "more", "missing in the published file, '1' in the rebuilt"),
        ({"tensors": {"one": WEIGHTS}}, "tensor", "two", "is missing in the rebuilt file"),
        ({"tensors": {"one": WEIGHTS, "two": WEIGHTS, "x": WEIGHTS}}, "tensor", "x", "missing in the"),
        ({"tensors": {"one": WEIGHTS, "two": WEIGHTS[:16]}}, "tensor", "two", "64x32 in the published file"),
        ({"tensors": {"two": WEIGHTS, "one": WEIGHTS}}, "bytes", "", "their order"),
        ({"kind": GGMLQuantizationType.Q4_0}, "tensor", "one", "64x32 in the published file, Q4_0 of"),
    ],
)  # fmt: skip
def test_the_first_difference_is_named(
    tmp_path: Path, change: dict[str, Any], part: str, name: str, what: str
) -> None:
    found = compare_files(save(tmp_path / "a"), save(tmp_path / "b", **change))
    assert found is not None
    assert (found.part, found.name) == (part, name)
    assert what in found.what
    assert found.as_lines()[0].startswith("first difference: the ")


def test_the_measure_is_of_the_decoded_weights(tmp_path: Path) -> None:
    other = WEIGHTS.copy()
    other[5, 3] += 0.25
    other[5, 4] -= 0.125
    published = save(tmp_path / "a", kind=GGMLQuantizationType.F32)
    rebuilt = save(tmp_path / "b", kind=GGMLQuantizationType.F32, tensors={"one": WEIGHTS, "two": other})
    found = compare_files(published, rebuilt)
    assert found is not None
    assert (found.tensors, found.tensors_differing, found.tensors_compared) == (("two",), 1, 2)
    assert (found.weights_differing, found.largest) == (2, pytest.approx(0.25))
    start = read_parts(published).tensors["two"].offset
    assert found.offset is not None and found.offset - start in range((5 * 64 + 3) * 4, (5 * 64 + 4) * 4)


def test_a_weight_that_is_not_a_number_is_the_largest_difference(tmp_path: Path) -> None:
    other = WEIGHTS.copy()
    other[0, 0] = np.nan
    kind = GGMLQuantizationType.F32
    found = compare_files(
        save(tmp_path / "a", kind=kind),
        save(tmp_path / "b", kind=kind, tensors={"one": other, "two": WEIGHTS}),
    )
    assert found is not None and found.largest is not None and found.largest > 1e300


@pytest.mark.parametrize("cut", [0, 3, 23, 60, 200, -1])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    published = save(tmp_path / "a")
    (tmp_path / "b").write_bytes(published.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"header|begin|beyond"):
        compare_files(published, tmp_path / "b")


def test_padding_counts(tmp_path: Path) -> None:
    published, rebuilt = save(tmp_path / "a"), save(tmp_path / "b")
    rebuilt.write_bytes(rebuilt.read_bytes() + bytes(32))
    found = compare_files(published, rebuilt)
    assert found is not None and (found.part, found.offset) == ("bytes", published.stat().st_size)
