"""A Parquet file: one record per row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.data.sources.record_file import RecordFile, RecordFileKind
from starfreight.jobs.data.sources.records import MAX_RECORD_BYTES

_ROWS_AT_ONCE = 16
_BUFFER_BYTES = 1 << 20
_FOOTER_BYTES = 64 << 20


class ParquetFile(RecordFile):
    """The rows of a file, numbered from 1 and read a few at a time.

    Memory depends on the size of a row, not of a row group.
    """

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise InputError(
                "Parquet files need pyarrow, which is not installed.",
                where=str(self._path),
                fix="pip install 'starfreight[train]', or convert the file to JSONL",
            ) from error

        number = 0
        try:
            with parquet.ParquetFile(
                self._path,
                memory_map=False,
                pre_buffer=False,
                buffer_size=_BUFFER_BYTES,
                thrift_string_size_limit=_FOOTER_BYTES,
                thrift_container_size_limit=1_000_000,
            ) as file:
                for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                    if batch.nbytes > _ROWS_AT_ONCE * MAX_RECORD_BYTES:
                        raise InputError(
                            "A row is larger than 16 MiB.",
                            where=f"{self._path}, row {number + 1} or soon after",
                            fix="split the record",
                        )
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{self._path.name}:{number}", row
        # pyarrow has no single exception for damaged files; hostile ones raise all of these.
        except (pyarrow.ArrowException, ValueError, OSError, OverflowError, MemoryError) as error:
            raise InputError(
                f"The Parquet file cannot be read: {str(error)[:200] or type(error).__name__}.",
                where=f"{self._path}, row {number + 1} or soon after",
                fix="check that this is the right file and that it is complete",
            ) from error


PARQUET = RecordFileKind((".parquet",), ParquetFile)
