"""Rows read by a process of their own, whose memory the kernel limits.

for row in process_rows("parquet", path, ""):
    ...

Parquet, Arrow and compressed files can announce or unpack to far more than their size, in too many ways to
check beforehand. The libraries that read them run in a process of their own, offline and with limited memory
(:mod:`starfreight.jobs.data.rows.server`). A row comes back as values of :mod:`marshal`, of at most 64 MiB.
"""

from __future__ import annotations

import json
import marshal
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from starfreight.errors import InputError
from starfreight.jobs.data.rows.values import OtherValue

FRAME = struct.Struct("<cI")
"""Kind and size of a message."""
ROW, ROW_WITH_OTHERS, ERROR, END = b"R", b"O", b"E", b"."
MAX_FRAME = 64 << 20
MEMORY = {"parquet": 1 << 30, "dataset": 4 << 30}
"""For each reader the bytes that it may use beside its libraries."""

_SETTINGS = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    # Each thread would reserve memory that counts.
    "ARROW_DEFAULT_MEMORY_POOL": "system", "ARROW_IO_THREADS": "1", "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip


def process_rows(reader: str, path: Path, split: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file or dataset.

    Args:
        reader: ``parquet`` or ``dataset``.
        path: the file or directory.
        split: of a dataset.

    Raises:
        InputError: it cannot be read, or needs too much memory.
    """
    command = [
        sys.executable,
        "-P",
        "-m",
        "starfreight.jobs.data.rows.server",
        reader,
        str(MEMORY[reader]),
        str(path),
        split,
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_SETTINGS, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        bufsize=1 << 20,
    )
    assert process.stdout is not None
    try:
        with process.stdout as stream:
            yield from _received(stream, path)
    finally:
        process.kill()
        process.wait()


def _received(stream: IO[bytes], path: Path) -> Iterator[Mapping[str, Any]]:
    number = 0
    while True:
        kind, size = _header(stream, path, number)
        data = stream.read(size)
        if len(data) != size:
            raise _stopped(path, number)
        if kind == END:
            return
        if kind == ERROR:
            raise InputError(**json.loads(data))
        number += 1
        row = marshal.loads(data)
        yield _restored(row) if kind == ROW_WITH_OTHERS else row


def _header(stream: IO[bytes], path: Path, number: int) -> tuple[bytes, int]:
    data = stream.read(FRAME.size)
    if len(data) != FRAME.size:
        raise _stopped(path, number)
    kind, size = FRAME.unpack(data)
    if size > MAX_FRAME:
        raise _stopped(path, number)
    return kind, size


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _restored(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_restored(each) for each in value]
    return OtherValue(*value) if isinstance(value, tuple) else value


def _stopped(path: Path, number: int) -> InputError:
    return InputError(
        "The process that reads the data stopped: the file is damaged, or unpacks to too much memory.",
        where=f"{path}, row {number + 1} or soon after",
        fix="check that this is the right file; write it again in smaller row groups, or as JSONL",
    )
