"""The parts of a GGUF file: its keys and its tensors, each with its place in the file.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing is trusted: counts and lengths
are bounded, and no tensor reaches beyond the file.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, TypeVar, cast

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from starfreight.gguf.keys import take, text

_NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"
_MOST_KEYS, _MOST_TENSORS, _MOST_ENTRIES = 100_000, 1_000_000, 1 << 24
_LONGEST_HEADER = 256 << 20

Part = TypeVar("Part")


@dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
        offset: where its value begins in the file.
        digest: SHA-256 of its type and value, in hex.
        shown: the value, or the size of an array.
    """

    offset: int
    digest: str
    shown: str


@dataclass(frozen=True)
class Tensor:
    """A tensor.

    Attributes:
        kind: type of its weights.
        shape: as in the file, innermost dimension first.
        offset: where its weights begin in the file.
        size: in bytes.
    """

    kind: GGMLQuantizationType
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True)
class GgufParts:
    """Keys and tensors by name, in the order of the file."""

    keys: Mapping[str, Key]
    tensors: Mapping[str, Tensor]


def read_parts(path: Path) -> GgufParts:
    """Read the header of a GGUF file.

    Raises:
        ValueError: it is not a valid one, or has a name twice.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        header = cast(IO[bytes], _Header(stream))
        magic, version, tensors, keys = struct.unpack("<4sIQQ", take(header, 24))
        if magic != b"GGUF" or version not in (2, 3) or keys > _MOST_KEYS or tensors > _MOST_TENSORS:
            raise ValueError("it does not begin with a GGUF header")
        found = _unique((text(header), _key(header)) for _ in range(keys))
        table = _unique((text(header), _tensor(header)) for _ in range(tensors))
        alignment = int(found[_ALIGNMENT].shown) if _ALIGNMENT in found else 32
        if not 0 < alignment <= 1 << 16:
            raise ValueError("its alignment is out of range")
        begin = header.tell()
    begin += -begin % alignment
    placed = {}
    for name, (kind, shape, offset, length) in table.items():
        if begin + offset + length > size:
            raise ValueError(f"{name[:100]!r} extends beyond the file")
        placed[name] = Tensor(kind, shape, begin + offset, length)
    return GgufParts(found, placed)


class _Header:
    """The first bytes of a stream, with a digest of those read since :meth:`mark`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._position = stream, 0
        self._digest = hashlib.sha256()

    def mark(self) -> None:
        self._digest = hashlib.sha256()

    def digest(self) -> str:
        return self._digest.hexdigest()

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        if self._position + size > _LONGEST_HEADER:
            raise ValueError(f"its header is longer than {_LONGEST_HEADER:,} bytes")
        data = self._stream.read(size)
        self._position += len(data)
        self._digest.update(data)
        return data


def _unique(pairs: Iterator[tuple[str, Part]]) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for name, part in pairs:
        if name in found:
            raise ValueError(f"it has {name[:100]!r} twice")
        found[name] = part
    return found


def _key(stream: IO[bytes]) -> Key:
    header = cast(_Header, stream)
    header.mark()
    offset = header.tell()
    (kind,) = struct.unpack("<I", take(stream, 4))
    shown = _array(stream) if kind == _ARRAY else _value(stream, kind)
    return Key(offset, header.digest(), shown)


def _value(stream: IO[bytes], kind: int) -> str:
    if kind == _STRING:
        return text(stream)
    if kind not in _NUMBERS:
        raise ValueError(f"a value has the unknown type {kind}")
    (value,) = struct.unpack(_NUMBERS[kind], take(stream, struct.calcsize(_NUMBERS[kind])))
    return str(value)


def _array(stream: IO[bytes]) -> str:
    kind, count = struct.unpack("<IQ", take(stream, 12))
    if count > _MOST_ENTRIES:
        raise ValueError("an array is longer than any valid one")
    if kind == _STRING:
        for _ in range(count):
            take(stream, struct.unpack("<Q", take(stream, 8))[0])
    elif kind in _NUMBERS:
        for _ in range(count):
            take(stream, struct.calcsize(_NUMBERS[kind]))
    else:
        raise ValueError(f"an array has the unknown type {kind}")
    return f"an array of {count:,}"


def _tensor(stream: IO[bytes]) -> tuple[GGMLQuantizationType, tuple[int, ...], int, int]:
    (dimensions,) = struct.unpack("<I", take(stream, 4))
    if not 0 < dimensions <= 4:
        raise ValueError(f"a tensor has {dimensions:,} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", take(stream, 8 * dimensions))
    number, offset = struct.unpack("<IQ", take(stream, 12))
    kind = GGMLQuantizationType(number)
    block, size = GGML_QUANT_SIZES[kind]
    elements = prod(shape)
    if elements % block or elements > 1 << 48:
        raise ValueError(f"a tensor has {elements:,} elements")
    return kind, shape, offset, elements // block * size
