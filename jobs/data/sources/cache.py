"""The user's cache of fetched sources, each under a name that identifies its contents."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

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
        ServiceError: the disk is full or not writable.
    """
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        lock = final.with_suffix(".lock").open("a+b")
    with lock, disk_errors(final):
        # Wait for a command that creates the same directory; its lock ends with its process.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return final
        partial = final.with_name(PARTIAL_PREFIX + final.name)
        shutil.rmtree(partial, ignore_errors=True)
        try:
            make(partial)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return final
