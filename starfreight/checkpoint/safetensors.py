"""The safetensors format, with every number in a header validated before use.

The format (https://github.com/huggingface/safetensors): eight bytes of little-endian header length,
a JSON header with each tensor's dtype, shape and byte range, then the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from starfreight.checkpoint.streamed_base import StreamedWeights
from starfreight.errors import InputError
from starfreight.strict_json import unique_names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HEADER_LIMIT = 100_000_000
"""The longest header accepted by the reference implementation, in bytes."""

DTYPE_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
"""The dtypes of the format, with the bytes of one element."""

_RAW_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_FIX = "download the file again, or restore it from its source"


@dataclass(frozen=True)
class StoredTensor:
    """The location of one tensor.

    Attributes:
        name: its name in the file.
        file: path of the file.
        dtype: its dtype in the format's spelling, such as ``BF16``.
        shape: its dimensions, the last one contiguous.
        offset: its first byte, counted from the start of the file.
        size: its length in bytes.
        streamed: reads the file, if it is not on this machine; its path is then only a name.
    """

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int
    streamed: StreamedWeights | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def where(self) -> str:
        """The file and the tensor, for an error."""
        return f"{self.file}: {self.name}"


def read_header(path: Path, streamed: StreamedWeights | None = None) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name, in the order of their bytes.

    Args:
        path: the file.
        streamed: reads the file, if it is not on this machine.

    Raises:
        InputError: the file is truncated; its header is too long or not JSON; a name occurs twice, a
            dtype is unknown, a shape does not fit its bytes, or tensors overlap or leave a gap.
    """
    try:
        if streamed is not None:
            total = streamed.sizes[path.name]
            raw = _raw_header(path, _StreamedStart(streamed, path.name), total)
        else:
            with path.open("rb") as stream:
                total = os.fstat(stream.fileno()).st_size
                raw = _raw_header(path, stream, total)
    except OSError as error:
        raise InputError(
            f"The safetensors file cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="check the path",
        ) from error
    try:
        header = json.loads(raw, object_pairs_hook=unique_names)
    except (ValueError, RecursionError) as error:
        raise _invalid(path, f"has a header that is not valid JSON: {error}") from error
    if not isinstance(header, dict):
        raise _invalid(path, "has a header that is not a JSON object")
    header.pop("__metadata__", None)
    start = 8 + len(raw)
    tensors = [_tensor(path, name, entry, start, streamed) for name, entry in header.items()]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.size))
    _check_layout(path, tensors, start, total)
    return {tensor.name: tensor for tensor in tensors}


def _raw_header(path: Path, stream: _Readable, total: int) -> bytes:
    """The JSON at the beginning of a file of ``total`` bytes."""
    length = int.from_bytes(stream.read(8), "little") if total >= 8 else 0
    if total < 8:
        raise _invalid(path, f"has {total} bytes, fewer than the header length alone takes")
    if not 2 <= length <= HEADER_LIMIT:
        raise _invalid(path, f"gives a header length of {length:,} bytes")
    if 8 + length > total:
        raise _invalid(path, f"is truncated: its header of {length:,} bytes does not fit")
    raw = stream.read(length)
    if len(raw) != length:
        raise _invalid(path, "is truncated inside its header")
    return raw


class _Readable(Protocol):
    def read(self, count: int, /) -> bytes:
        """The next bytes."""


class _StreamedStart:
    """Reads a streamed file from its beginning."""

    def __init__(self, streamed: StreamedWeights, name: str) -> None:
        self._streamed, self._name, self._position = streamed, name, 0

    def read(self, count: int, /) -> bytes:
        """The next bytes; the caller knows that the file has them."""
        data = bytearray(count)
        self._streamed.read(self._name, self._position, memoryview(data))
        self._position += count
        return bytes(data)


def _tensor(path: Path, name: str, entry: Any, start: int, streamed: StreamedWeights | None) -> StoredTensor:
    where = f"{path}: {name[:200]}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _invalid(path, "describes a tensor without exactly dtype, shape and data_offsets", where)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise _invalid(path, f"holds a tensor of the unknown dtype {str(dtype)[:40]!r}", where)
    if not _counts(shape) or len(shape) > 8:
        raise _invalid(path, "holds a tensor whose shape is not a list of at most 8 sizes", where)
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _invalid(path, "holds a tensor whose data_offsets are not a range", where)
    size = math.prod(shape) * DTYPE_BYTES[dtype]
    if offsets[1] - offsets[0] != size:
        raise _invalid(
            path,
            f"holds a tensor of {size:,} bytes by its shape but {offsets[1] - offsets[0]:,} by its offsets",
            where,
        )
    return StoredTensor(name, path, dtype, tuple(shape), start + offsets[0], size, streamed)


def _check_layout(path: Path, tensors: list[StoredTensor], start: int, total: int) -> None:
    position = start
    for tensor in tensors:
        if tensor.offset != position:
            kind = "overlap" if tensor.offset < position else "leave a hole"
            raise _invalid(path, f"has tensors that {kind}", tensor.where)
        position += tensor.size
        if position > total:
            raise _invalid(
                path, f"is truncated: {position - total:,} bytes of this tensor are missing", tensor.where
            )
    if position != total:
        raise _invalid(path, f"has {total - position:,} bytes after its last tensor")


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 48 for item in value)


def _invalid(path: Path, what: str, where: str | None = None) -> InputError:
    return InputError(f"The safetensors file {what}.", where=where or str(path), fix=_FIX)


class TensorReader:
    """Reads rows of tensors and keeps their files open. Thread-safe.

    It uses ``pread`` instead of a memory map, so a file truncated during reading causes an error and not a
    SIGBUS.
    """

    def __init__(self) -> None:
        self._files: dict[Path, int] = {}

    def open(self, path: Path) -> None:
        """Open a file on this machine ahead of reading, so two threads never do it at once."""
        if path not in self._files:
            try:
                self._files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise InputError(
                    f"The safetensors file cannot be read: {error.strerror}.",
                    where=str(path),
                    fix="check the path",
                ) from error

    def rows(self, tensor: StoredTensor, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Rows ``start`` to ``stop`` of a tensor as stored.

        A one-dimensional tensor counts as one row.

        Returns:
            An array of shape (stop - start, row length): float32, float16, or uint16 holding bfloat16.

        Raises:
            InputError: the dtype is none of the three, or the file is truncated.
        """
        import numpy as np

        if tensor.dtype not in _RAW_DTYPES:
            raise InputError(
                f"The tensor has the dtype {tensor.dtype}; only F32, F16 and BF16 weights can be used.",
                where=tensor.where,
                fix="use the original weights of the model, not a quantised copy",
            )
        columns = tensor.shape[-1] if tensor.shape else 1
        array = np.empty((stop - start, columns), dtype=_RAW_DTYPES[tensor.dtype])
        row_bytes = columns * array.itemsize
        if not 0 <= start <= stop or stop * row_bytes > tensor.size:
            raise ValueError(f"rows {start} to {stop} are outside {tensor.name}")
        self._read(tensor, tensor.offset + start * row_bytes, array.view(np.uint8).reshape(-1).data)
        return array

    def _read(self, tensor: StoredTensor, position: int, buffer: memoryview) -> None:
        if tensor.streamed is not None:
            tensor.streamed.read(tensor.file.name, position, buffer)
            return
        self.open(tensor.file)
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._files[tensor.file], [buffer[done:]], position + done)
            except OSError as error:
                raise InputError(
                    f"The weights cannot be read: {error.strerror}.", where=tensor.where, fix="check the disk"
                ) from error
            if count == 0:
                raise _invalid(tensor.file, "became shorter while it was read", tensor.where)
            done += count

    def close(self) -> None:
        """Close the files."""
        for handle in self._files.values():
            os.close(handle)
        self._files.clear()

    def __enter__(self) -> TensorReader:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self.close()
