"""The single values in a GGUF file's header, without its vocabulary and its weights.

    read_scalars(path)["tokenizer.ggml.fim_pre_token_id"]     # 1

The ``gguf`` package's reader makes objects of every token, which takes seconds for a real vocabulary.
This one walks past arrays. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
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


def read_scalars(path: Path) -> dict[str, Scalar]:
    """Every key of a GGUF file whose value is a number, a truth value or a text.

    Raises:
        InputError: the file cannot be read or is not a sound GGUF file.
    """
    try:
        with path.open("rb") as stream:
            magic, version, _, count = struct.unpack("<4sIQQ", _take(stream, 24))
            if magic != b"GGUF" or version not in (2, 3) or count > _MOST_KEYS:
                raise ValueError("it does not start as one")
            found: dict[str, Scalar] = {}
            for _ in range(count):
                key = _text(stream)
                (kind,) = struct.unpack("<I", _take(stream, 4))
                if kind == _ARRAY:
                    _skip_array(stream)
                else:
                    found[key] = _text(stream) if kind == _STRING else _number(stream, kind)
            return found
    except (ValueError, OSError) as error:
        raise InputError(
            f"The file is not a sound GGUF file: {error}.", where=str(path), fix="make or download it again"
        ) from error


def _take(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size) if size <= _LONGEST else b""
    if len(data) != size:
        raise ValueError("its header is cut short")
    return data


def _text(stream: IO[bytes]) -> str:
    return _take(stream, struct.unpack("<Q", _take(stream, 8))[0]).decode("utf-8", "replace")


def _number(stream: IO[bytes], kind: int) -> int | float | bool:
    if kind not in _FORMATS:
        raise ValueError(f"a value has the unknown type {kind}")
    value: int | float | bool = struct.unpack(_FORMATS[kind], _take(stream, struct.calcsize(_FORMATS[kind])))[
        0
    ]
    return value


def _skip_array(stream: IO[bytes]) -> None:
    kind, count = struct.unpack("<IQ", _take(stream, 12))
    if count > _LONGEST:
        raise ValueError("an array is longer than any sound one")
    if kind == _STRING:
        for _ in range(count):
            _take(stream, struct.unpack("<Q", _take(stream, 8))[0])
    elif kind in _FORMATS:
        for _ in range(count):
            _take(stream, struct.calcsize(_FORMATS[kind]))
    else:
        raise ValueError(f"an array has the unknown type {kind}")
