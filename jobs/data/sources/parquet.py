"""A Parquet file: one record per row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.jobs.data.rows.process import process_rows
from starfreight.jobs.data.sources.interface import MissingLibrary
from starfreight.jobs.data.sources.record_file import RecordFile, RecordFileKind


class ParquetFile(RecordFile):
    """The rows of a file, numbered from 1, read in a process with limited memory."""

    def _records(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise MissingLibrary(
                "Parquet files need pyarrow, which is not installed.",
                where=str(self._path),
                fix="pip install 'starfreight[train]', or convert the file to JSONL",
            ) from error
        for number, row in enumerate(process_rows("parquet", self._path, ""), 1):
            yield f"{self._path.name}:{number}", row


PARQUET = RecordFileKind((".parquet",), ParquetFile)
