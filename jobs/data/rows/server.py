"""The process of :mod:`starfreight.jobs.data.rows.process`: reads rows and writes them to its output.

python -P -m starfreight.jobs.data.rows.server READER BYTES PATH SPLIT
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import importlib
import json
import marshal
import os
import resource
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from starfreight.console import human_count
from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.data.rows.process import END, ERROR, FRAME, MAX_FRAME, ROW, ROW_WITH_OTHERS

_READERS = {
    "parquet": "starfreight.jobs.data.rows.parquet_rows",
    "dataset": "starfreight.jobs.data.rows.dataset_rows",
}

_FIX = "check that this is the right file, that it is complete, and that a split has this name"


def main(arguments: list[str]) -> int:
    """Write the rows, then an end mark or an error."""
    reader, memory, path, split = arguments
    with _private_output() as output:
        try:
            _serve(_READERS[reader], int(memory), Path(path), split, output)
            _send(output, END, b"")
        except StarfreightError as error:
            fields = {"what": error.what, "where": error.where, "fix": error.fix}
            _send(output, ERROR, json.dumps(fields).encode())
    return 0


def _serve(name: str, memory: int, path: Path, split: str, output: IO[bytes]) -> None:
    place = f"{path}, split {split}" if split else str(path)
    number = 0
    try:
        module = importlib.import_module(name)
        module.import_libraries(path)
        _limit_memory(memory)
        rows = cast(Callable[[Path, str], Iterator[Mapping[str, Any]]], module.read_rows)
        for row in rows(path, split):
            number += 1
            others: list[object] = []
            data = marshal.dumps(_portable(row, others))
            if len(data) > MAX_FRAME:
                raise InputError("A row is larger than 16 MiB.", where=None, fix="split the record")
            _send(output, ROW_WITH_OTHERS if others else ROW, data)
    except (BrokenPipeError, StarfreightError) as error:
        if isinstance(error, StarfreightError) and error.where is None:
            error.where = f"{place}, row {number + 1} or soon after"
        raise
    except MemoryError:
        raise InputError(
            f"The data needs more than {human_count(memory, 'B')} of memory to be read.",
            where=f"{place}, row {number + 1} or soon after",
            fix="write the file again in smaller row groups, or as JSONL",
        ) from None
    # The libraries have no single exception for damaged files; hostile ones raise almost any.
    except Exception as error:
        reason = " ".join(str(error).split())[:200].rstrip(" .")  # Some libraries write several lines.
        raise InputError(
            f"The data cannot be read: {reason or type(error).__name__}.",
            where=f"{place}, row {number + 1} or soon after",
            fix=_FIX,
        ) from error


def _limit_memory(budget: int) -> None:
    """Limit the private memory of this process to what it has now and ``budget`` bytes."""
    with contextlib.suppress(OSError, ValueError):  # Systems other than Linux.
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        limit = now + budget if most == resource.RLIM_INFINITY else min(now + budget, most)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


@contextlib.contextmanager
def _private_output() -> Iterator[IO[bytes]]:
    """Take standard output for the rows; the libraries' own output goes to standard error."""
    handle = os.dup(1)
    os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError), os.fdopen(handle, "wb", buffering=1 << 20) as stream:
        yield stream


def _send(output: IO[bytes], kind: bytes, data: bytes) -> None:
    output.write(FRAME.pack(kind, len(data)))
    output.write(data)


def _portable(value: Any, others: list[object]) -> Any:
    """Convert a row to the values of :mod:`marshal`, with a tuple for each other value."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) in (str, int, float, bytes):
        return value
    for kind in (str, int, float, bytes):
        if isinstance(value, kind):
            return kind(value)  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return {str(key): _portable(each, others) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(each, others) for each in value]
    others.append(value)
    if isinstance(value, datetime.date | datetime.time):
        return (value.isoformat(), "")
    if isinstance(value, datetime.timedelta | decimal.Decimal | uuid.UUID):
        return (str(value), "")
    return (None, type(value).__name__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
