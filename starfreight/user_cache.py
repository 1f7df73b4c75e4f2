"""The user's cache of fetched data and models, each under a name that identifies its contents."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from starfreight.directories import discard, move, open_directory, refuse_link
from starfreight.files import PARTIAL_PREFIX, disk_errors


def cache_folder(kind: str) -> Path:
    """Return ``$XDG_CACHE_HOME/starfreight/<kind>``, by default below ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is to be ignored (XDG Base Directory Specification).
    folder = Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()
    return folder / "starfreight" / kind


def made_once(final: Path, make: Callable[[Path], None]) -> Path:
    """Return a directory of the cache, creating it unless it exists; it only exists when it is complete.

    Args:
        final: the directory.
        make: creates it at a given path, which does not exist yet.

    Raises:
        InputError: the directory, its parent or its lock file is a symbolic link.
        ServiceError: the disk is full or not writable.
    """
    cache = final.parent
    with disk_errors(final), open_directory(cache, below=cache.parent, create=True) as folder:
        handle = folder.open(final.with_suffix(".lock").name, os.O_RDWR | os.O_CREAT)
    with os.fdopen(handle, "r+b") as lock, disk_errors(final):
        # Wait for a command that creates the same directory; its lock ends with its process.
        fcntl.flock(lock, fcntl.LOCK_EX)
        refuse_link(final, below=cache)
        if final.is_dir():
            return final
        partial = final.with_name(PARTIAL_PREFIX + final.name)
        discard(partial, below=cache.parent)
        try:
            make(partial)
            move(partial, final, below=cache.parent)
        finally:
            discard(partial, below=cache.parent)
    return final
