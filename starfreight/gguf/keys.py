"""The single values in a GGUF file's header, without its vocabulary and its weights.

    read_scalars(path)["tokenizer.ggml.fim_pre_token_id"]     # 1

The ``gguf`` package's reader creates an object for every token, which takes seconds for a real vocabulary.
This one skips arrays. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from starfreight.errors import InputError

Scalar = int | float | bool | str

_FORMATS = {
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
_MOST_KEYS, _LONGEST = 100_000, 1 << 24


@dataclass(frozen=True)
class Keys:
    """The keys before the table of tensors.

    Attributes:
        tensors: number of tensors in the table.
        values: the keys with a single value.
        texts: the first text of each key with an array of texts.
    """

    tensors: int
    values: dict[str, Scalar]
    texts: dict[str, str]


def read_scalars(path: Path) -> dict[str, Scalar]:
    """Every key of a GGUF file with a number, a boolean or a text.

    Raises:
        InputError: the file cannot be read or is not a valid GGUF file.
    """
    try:
        with path.open("rb") as stream:
            return read_keys(stream).values
    except (ValueError, OSError) as error:
        raise InputError(
            f"The file is not a valid GGUF file: {error}.", where=str(path), fix="make or download it again"
        ) from error


def read_keys(stream: IO[bytes]) -> Keys:
    """The keys of a GGUF file. Leaves the stream at the table of tensors.

    Raises:
        ValueError: the stream is not a valid GGUF file.
    """
    magic, version, tensors, count = struct.unpack("<4sIQQ", take(stream, 24))
    if magic != b"GGUF" or version not in (2, 3) or count > _MOST_KEYS:
        raise ValueError("it does not begin with a GGUF header")
    keys = Keys(tensors, {}, {})
    for _ in range(count):
        key = text(stream)
        (kind,) = struct.unpack("<I", take(stream, 4))
        if kind == _ARRAY:
            first = _skip_array(stream)
            if first is not None:
                keys.texts[key] = first
        else:
            keys.values[key] = text(stream) if kind == _STRING else _number(stream, kind)
    return keys


def take(stream: IO[bytes], size: int) -> bytes:
    """The next bytes.

    Raises:
        ValueError: the stream ends before, or the value is longer than any valid header has.
    """
    data = stream.read(size) if size <= _LONGEST else b""
    if len(data) != size:
        raise ValueError("its header is cut short")
    return data


def text(stream: IO[bytes]) -> str:
    """The next string.

    Raises:
        ValueError: the stream ends before.
    """
    return take(stream, struct.unpack("<Q", take(stream, 8))[0]).decode("utf-8", "replace")


def _number(stream: IO[bytes], kind: int) -> int | float | bool:
    if kind not in _FORMATS:
        raise ValueError(f"a value has the unknown type {kind}")
    value: int | float | bool = struct.unpack(_FORMATS[kind], take(stream, struct.calcsize(_FORMATS[kind])))[
        0
    ]
    return value


def _skip_array(stream: IO[bytes]) -> str | None:
    """Skip an array; return its first text if it is an array of texts."""
    first = None
    kind, count = struct.unpack("<IQ", take(stream, 12))
    if count > _LONGEST:
        raise ValueError("an array is longer than any valid one")
    if kind == _STRING:
        for number in range(count):
            entry = take(stream, struct.unpack("<Q", take(stream, 8))[0])
            if number == 0:
                first = entry.decode("utf-8", "replace")
    elif kind in _FORMATS:
        for _ in range(count):
            take(stream, struct.calcsize(_FORMATS[kind]))
    else:
        raise ValueError(f"an array has the unknown type {kind}")
    return first
