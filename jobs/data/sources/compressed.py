"""Files of records, decompressed while they are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from starfreight.files import open_regular
from starfreight.jobs.data.decompress import decompressed

COMPRESSED = ("", ".gz", ".zst")
"""Suffixes after that of the format."""


@contextlib.contextmanager
def open_records(path: Path, kind: str) -> Iterator[IO[bytes]]:
    """Open a file of records, decompressed if its name ends in ``.gz`` or ``.zst``.

    Args:
        path: the file.
        kind: noun for error messages.

    Raises:
        InputError: it is a pipe or a device, or as :func:`decompressed`, also while it is read.
        MissingLibrary: pyarrow is needed and not installed.
        OSError: it is missing or unreadable.
    """
    with open_regular(path, kind) as stream:
        yield decompressed(stream, path)
