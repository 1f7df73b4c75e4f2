"""Reads the rows of a Parquet file, in the process of :mod:`starfreight.jobs.data.rows.server`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES

_ROWS_AT_ONCE = 16
_BUFFER_BYTES = 1 << 20
_FOOTER_BYTES = 64 << 20
_MOST_ROWS = 64
"""Rows for each byte of a file; the repetition of an empty value takes next to none."""
_MOST_GROWTH = 2000
"""Growth of a file by decompression; text shrinks to a fifth, repeated text hardly to a hundredth."""
_FREE_BYTES = 64 << 20
"""Size up to which growth does not matter."""


def import_libraries(path: Path) -> None:
    """Import the libraries before the memory is limited."""
    from pyarrow import parquet  # noqa: F401


def read_rows(path: Path, split: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file, a few at a time: memory depends on the size of a row, not of a row group.

    Raises:
        InputError: a row is larger than 16 MiB, or the file announces more than it can hold.
    """
    with opened(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
            if batch.nbytes > _ROWS_AT_ONCE * MAX_RECORD_BYTES:
                raise _large_row()
            yield from batch.to_pylist()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file as a ``pyarrow.parquet.ParquetFile``, of which no more is read than its footer.

    Raises:
        InputError: it announces more than it can hold.
    """
    from pyarrow import parquet

    with (
        open_regular(path, "Parquet file") as stream,
        parquet.ParquetFile(
            stream,
            memory_map=False,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            thrift_string_size_limit=_FOOTER_BYTES,
            thrift_container_size_limit=1_000_000,
        ) as file,
    ):
        _check_announced(file.metadata, os.fstat(stream.fileno()).st_size)
        yield file


def _check_announced(metadata: Any, size: int) -> None:
    """Refuse a file by its own figures, before anything is decoded; they may be wrong."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    rows, total = sum(each.num_rows for each in groups), sum(each.total_byte_size for each in groups)
    if rows > size * _MOST_ROWS or total > size * _MOST_GROWTH + _FREE_BYTES:
        raise InputError(
            f"The Parquet file of {size:,} bytes announces {rows:,} rows of {total:,} bytes.",
            where=None,
            fix="check that this is the right file; write it again from its source",
        )
    if any(each.total_byte_size > each.num_rows * MAX_RECORD_BYTES + _FREE_BYTES for each in groups):
        raise _large_row()


def _large_row() -> InputError:
    return InputError("A row is larger than 16 MiB.", where=None, fix="split the record")
