"""The size of a source that is too large to be read by a plan, from the sizes of its files."""

from __future__ import annotations

import time
from pathlib import Path

from starfreight.recipe import Data

_SECONDS = 3.0
_PLAIN = (".jsonl", ".ndjson")
"""Files whose records are about as large as the file."""


def source_size(data: Data, path: Path, seconds: float = _SECONDS) -> int | None:
    """Bytes of the files of a source on this machine.

    Args:
        data: the source.
        path: its local path.
        seconds: time for looking at the sizes of files.

    Returns:
        ``None`` if they are compressed, in another place, or too many for that time.
    """
    from starfreight.jobs.data.sources import open_source
    from starfreight.jobs.data.sources.folder import FolderSource

    if path.is_file():
        return path.stat().st_size if path.suffix in _PLAIN else None
    source = open_source(data, path)
    if not isinstance(source, FolderSource):
        return None
    end, total = time.monotonic() + seconds, 0
    for size in source.sizes():
        total += size
        if time.monotonic() > end:
            return None
    return total
