"""A safetensors file is a stranger's: what is wrong with it is said, and nothing is read past its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import TensorReader, read_header
from starfreight.checkpoint.safetensors import HEADER_LIMIT
from starfreight.errors import InputError


def entry(dtype: str, shape: list[Any], start: int, stop: int) -> dict[str, Any]:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def write(path: Path, header: object, data: bytes = b"") -> Path:
    """A safetensors file of a header, as JSON or as it stands, and data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


GOOD = {"a": entry("F32", [2, 2], 0, 16), "b": entry("BF16", [3], 16, 22)}


def test_a_sound_header_gives_every_tensor_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"__metadata__": {"format": "pt"}, **GOOD}, bytes(22))
    start = path.stat().st_size - 22
    found = read_header(path)
    assert [(t.name, t.dtype, t.shape, t.offset, t.size) for t in found.values()] == [
        ("a", "F32", (2, 2), start, 16),
        ("b", "BF16", (3,), start + 16, 6),
    ]


def test_headers_are_read_as_the_safetensors_library_reads_them(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    arrays = {
        "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
        "half": np.arange(5, dtype=np.float16),
        "scalar": np.array(7, np.float32),
        "empty": np.empty((0, 4), np.float32),
    }
    save_file(arrays, tmp_path / "x.safetensors")
    found = read_header(tmp_path / "x.safetensors")
    assert {name: tensor.shape for name, tensor in found.items()} == {n: a.shape for n, a in arrays.items()}
    with TensorReader() as reader:
        assert np.array_equal(reader.rows(found["matrix"], 1, 3), arrays["matrix"][1:3])
        assert np.array_equal(reader.rows(found["half"], 0, 1)[0], arrays["half"])
        assert reader.rows(found["scalar"], 0, 1).item() == 7


@pytest.mark.parametrize(
    ("header", "data", "what"),
    [
        (GOOD, bytes(21), "truncated"),
        (GOOD, bytes(23), "1 bytes after its last tensor"),
        (GOOD, b"", "truncated"),
        ({**GOOD, "c": entry("F32", [1], 12, 16)}, bytes(22), "overlap"),
        ({**GOOD, "c": entry("F32", [1], 26, 30)}, bytes(30), "hole"),
        ({"a": entry("F32", [1], 4, 8)}, bytes(8), "hole"),
        ({"a": entry("F32", [3], 0, 16)}, bytes(16), "12 bytes by its shape but 16"),
        ({"a": entry("F32", [1 << 40, 1 << 40], 0, 16)}, bytes(16), "by its shape"),
        ({"a": entry("Q4", [4], 0, 16)}, bytes(16), "unknown dtype"),
        ({"a": entry("F32", [-4], 0, 16)}, bytes(16), "shape"),
        ({"a": entry("F32", [True, 4], 0, 16)}, bytes(16), "shape"),
        ({"a": entry("F32", [4.0], 0, 16)}, bytes(16), "shape"),
        ({"a": entry("F32", [1] * 9, 0, 4)}, bytes(4), "at most 8"),
        ({"a": entry("F32", [4], 16, 0)}, bytes(16), "not a range"),
        ({"a": {"dtype": "F32", "shape": [4]}}, bytes(16), "exactly dtype"),
        ({"a": GOOD["a"] | {"more": 1}}, bytes(16), "exactly dtype"),
        ({"a": [1]}, b"", "exactly dtype"),
        ([], b"", "not a JSON object"),
        (b"{", b"", "length of 1 bytes"),
        (b"{ ", b"", "not valid JSON"),
        (b"\xff\xfe", b"", "not valid JSON"),
        (b"[" * 100_000, b"", "not valid JSON"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":1}', bytes(4), "given twice"),
    ],
)
def test_an_unsound_file_is_refused_by_name(header: object, data: bytes, what: str, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.safetensors", header, data)
    with pytest.raises(InputError, match="safetensors file") as caught:
        read_header(path)
    assert what in caught.value.what
    assert str(path) in str(caught.value.where)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "0 bytes"),
        (b"\x01\x02", "2 bytes"),
        ((1000).to_bytes(8, "little") + b"{}", "does not fit"),
        ((HEADER_LIMIT + 1).to_bytes(8, "little") + b"{}", "header length of 100,000,001"),
        (b"\xff" * 8 + b"{}", "header length"),
    ],
)
def test_a_header_length_is_not_believed(data: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_header(tmp_path / "bad.safetensors")
    assert what in caught.value.what


def test_a_file_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_header(tmp_path / "missing.safetensors")


def test_rows_are_read_in_pieces_and_never_past_a_tensor(
    save_tensors: Callable[..., None], tmp_path: Path
) -> None:
    matrix = np.arange(1000, dtype=np.uint16).reshape(50, 20)
    save_tensors(
        tmp_path / "x.safetensors", {"m": ("BF16", matrix), "after": ("F32", np.zeros(9, np.float32))}
    )
    tensor = read_header(tmp_path / "x.safetensors")["m"]
    with TensorReader() as reader:
        pieces = [reader.rows(tensor, start, min(start + 7, 50)) for start in range(0, 50, 7)]
        assert np.array_equal(np.concatenate(pieces), matrix)
        with pytest.raises(ValueError, match="outside"):
            reader.rows(tensor, 49, 51)


def test_a_file_cut_short_after_its_header_was_read_is_an_input_error(
    save_tensors: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"m": ("F32", np.zeros((50, 20), np.float32))})
    tensor = read_header(path)["m"]
    with path.open("r+b") as stream:
        stream.truncate(tensor.offset + 100)
    with TensorReader() as reader, pytest.raises(InputError, match="became shorter"):
        reader.rows(tensor, 0, 50)
