"""Downloads on their way into a running Ollama: one directory in the user's cache for each model.

An interrupted download stays, and the same command continues it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from starfreight.directories import discard
from starfreight.directory_lock import LOCK_FILE, only_one


@contextlib.contextmanager
def staging(digest: str) -> Iterator[Path]:
    """A directory for the blobs of a manifest; it is deleted when the block succeeds.

    Raises:
        InputError: another process is installing the same model.
        ServiceError: the directory cannot be created.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is to be ignored (XDG Base Directory Specification).
    cache = Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()
    root = cache / "starfreight" / "install"
    folder = root / digest.removeprefix("sha256:")
    with only_one(folder, "installing this model", below=cache) as directory:
        yield folder
        directory.empty(keep={LOCK_FILE})
    discard(folder, below=root)
