"""Keys of GGUF files, and importance matrices."""

from __future__ import annotations

import struct
from pathlib import Path

from fuzzing import changed_bytes, fuzz, holds
from hypothesis import given

from starfreight.gguf.keys import read_scalars
from starfreight.packager.press.importance import read_importance


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def strings(*values: str) -> bytes:
    return struct.pack("<IQ", 8, len(values)) + b"".join(map(text, values))


MODEL = struct.pack("<4sIQQ", b"GGUF", 3, 0, 4) + b"".join(
    (
        key("general.architecture", 8, text("starcoder2")),
        key("starcoder2.context_length", 4, struct.pack("<I", 256)),
        key("tokenizer.ggml.tokens", 9, strings("a", "b", "c")),
        key("tokenizer.ggml.scores", 9, struct.pack("<IQ3f", 6, 3, 1, 2, 3)),
    )
)
IMATRIX = struct.pack("<4sIQQ", b"GGUF", 3, 2, 4) + b"".join(
    (
        key("general.type", 8, text("imatrix")),
        key("imatrix.datasets", 9, strings("code")),
        key("imatrix.chunk_count", 4, struct.pack("<I", 1)),
        key("imatrix.chunk_size", 4, struct.pack("<I", 64)),
        text("blk.0.ffn_up.weight.in_sum2"), struct.pack("<IQQIQ", 2, 8, 1, 0, 0),
        text("blk.0.ffn_up.weight.counts"), struct.pack("<IQQIQ", 2, 1, 1, 0, 32),
    )
)  # fmt: skip
IMATRIX += bytes(-len(IMATRIX) % 32) + struct.pack("<8f", *[1.0] * 8) + struct.pack("<f", 64.0) + bytes(28)


def test_the_valid_files_are_valid(folder: Path) -> None:
    (folder / "model.gguf").write_bytes(MODEL)
    (folder / "imatrix.gguf").write_bytes(IMATRIX)
    assert read_scalars(folder / "model.gguf")["starcoder2.context_length"] == 256
    assert list(read_importance(folder / "imatrix.gguf").weights) == ["blk.0.ffn_up.weight"]


@fuzz
@given(data=changed_bytes(MODEL))
def test_keys_of_changed_bytes(folder: Path, data: bytes) -> None:
    (folder / "model.gguf").write_bytes(data)
    holds(lambda: read_scalars(folder / "model.gguf"))


@fuzz
@given(data=changed_bytes(IMATRIX))
def test_an_importance_matrix_of_changed_bytes(folder: Path, data: bytes) -> None:
    (folder / "imatrix.gguf").write_bytes(data)
    holds(lambda: read_importance(folder / "imatrix.gguf"))
