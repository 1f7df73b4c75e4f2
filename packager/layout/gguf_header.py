"""Compare the header of a package's GGUF files with its record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, cast

from starfreight.gguf.keys import read_keys
from starfreight.image_layout.reader import ImageLayout, damaged
from starfreight.package import Descriptor, Package
from starfreight.quantization import FILE_TYPES

LONGEST_HEADER = 64 << 20


def header_problems(layout: ImageLayout, package: Package) -> Iterator[tuple[Descriptor, str]]:
    """The differences between the files' headers and the record.

    Yields:
        The file, and the completion of the sentence "The file ...".

    Raises:
        GateError: a file is missing, or is not a GGUF file.
    """
    for variant in package.variants:
        header = _header(layout, variant.gguf)
        expected: dict[str, object] = {
            "general.architecture": package.architecture,
            "general.type": "model",
            "general.file_type": FILE_TYPES[variant.quantization],
            f"{package.architecture}.context_length": package.context_length,
        }
        if package.adapter is None:
            expected |= _identity(package)
        yield from ((variant.gguf, problem) for problem in _differences(header, expected))
    if package.adapter is not None:
        expected = {"general.architecture": package.architecture, "general.type": "adapter"}
        header = _header(layout, package.adapter)
        yield from (
            (package.adapter, problem) for problem in _differences(header, expected | _identity(package))
        )


def _identity(package: Package) -> dict[str, object]:
    return {
        "general.name": package.title,
        "general.base_model.0.name": package.base.name.rsplit("/", 1)[-1],
        "general.base_model.0.version": package.base.revision or package.base.digest,
    }


def _differences(header: dict[str, object], expected: dict[str, object]) -> Iterator[str]:
    for key, value in expected.items():
        found = header.get(key)
        if (" ".join(found.split()) if isinstance(found, str) else found) != value:
            yield f"has {key} {str(found)[:80]!r} where {str(value)[:80]!r} is recorded"


def _header(layout: ImageLayout, file: Descriptor) -> dict[str, object]:
    try:
        with layout.open(file) as stream:
            return dict(read_keys(cast(IO[bytes], _Bounded(stream))).values)
    except ValueError as error:
        raise damaged(layout.blob_path(file.digest), f"is not a valid GGUF file: {error}") from error


class _Bounded:
    """The first bytes of a stream: more than any valid header has, too few to read for ever."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = LONGEST_HEADER

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise ValueError(f"its header is longer than {LONGEST_HEADER:,} bytes")
        return self._stream.read(size)
