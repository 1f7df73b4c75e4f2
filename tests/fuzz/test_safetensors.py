"""Headers of safetensors files, and indices of their shards."""

from __future__ import annotations

from pathlib import Path

from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.checkpoint import read_header
from starfreight.checkpoint.files import INDEX_NAME, weight_files

HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
    "b": {"dtype": "BF16", "shape": [16], "data_offsets": [32, 64]},
}
INDEX = {"metadata": {"total_size": 64}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}


def read(folder: Path, data: bytes) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    holds(lambda: [tensor.elements for tensor in read_header(path).values()])


def with_header(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(64)


@fuzz
@given(header=changed_json(HEADER))
def test_a_header_of_changed_values(folder: Path, header: bytes) -> None:
    read(folder, with_header(header))


@fuzz
@given(data=st.just(HEADER).flatmap(changed_json).map(with_header).flatmap(changed_bytes))
def test_a_file_of_changed_bytes(folder: Path, data: bytes) -> None:
    read(folder, data)


@fuzz
@given(data=changed_json(INDEX))
def test_an_index_of_changed_values(folder: Path, data: bytes) -> None:
    (folder / INDEX_NAME).write_bytes(data)
    holds(lambda: weight_files(folder))
