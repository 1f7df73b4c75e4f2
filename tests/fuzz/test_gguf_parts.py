"""Keys and tensors of GGUF files that other people made."""

from __future__ import annotations

import struct
from pathlib import Path

from fuzzing import changed_bytes, fuzz
from hypothesis import given

from starfreight.packager.provenance.rebuild.gguf_parts import read_parts


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


FILE = struct.pack("<4sIQQ", b"GGUF", 3, 2, 3) + b"".join(
    (
        text("general.alignment"), struct.pack("<II", 4, 32),
        text("tokens"), struct.pack("<IIQ", 9, 8, 2), text("a"), text("b"),
        text("scores"), struct.pack("<IIQ2f", 9, 6, 2, 1, 2),
        text("one"), struct.pack("<IQIQ", 1, 8, 0, 0),
        text("two"), struct.pack("<IQQIQ", 2, 32, 2, 8, 32),
    )
)  # fmt: skip
FILE += bytes(-len(FILE) % 32) + bytes(32 + 68)


def test_the_valid_file_is_valid(folder: Path) -> None:
    (folder / "model.gguf").write_bytes(FILE)
    parts = read_parts(folder / "model.gguf")
    assert list(parts.keys) == ["general.alignment", "tokens", "scores"]
    assert [(each.shape, each.size) for each in parts.tensors.values()] == [((8,), 32), ((32, 2), 68)]


@fuzz
@given(data=changed_bytes(FILE))
def test_changed_bytes_are_read_or_refused(folder: Path, data: bytes) -> None:
    (folder / "model.gguf").write_bytes(data)
    try:
        parts = read_parts(folder / "model.gguf")
    except ValueError:
        return
    assert all(each.offset + each.size <= len(data) for each in parts.tensors.values())
