"""Rules that select the text files of a directory or a git repository."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from starfreight.recipe.data import Data

MAX_FILE_BYTES = 1 << 20
"""Larger files are generated or hold data."""
_MAX_NOTEBOOK_BYTES = 16 << 20
"""Most of a notebook is pictures, which are dropped."""

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})


def most_bytes(path: str | None) -> int:
    """Return the size up to which a file is read."""
    return _MAX_NOTEBOOK_BYTES if path is not None and path.lower().endswith(".ipynb") else MAX_FILE_BYTES


def is_skipped(name: str) -> bool:
    """Return true for files and directories to ignore: hidden ones, and those created by tools.

    Args:
        name: one part of a path.
    """
    return name.startswith(".") or name in _SKIPPED_FOLDERS


def is_wanted(path: str, data: Data) -> bool:
    """Return true if a source's include and exclude patterns select a file, by its path or by its name."""
    return _matches(path, data.include) and not _matches(path, data.exclude)


def printable_name(name: str) -> str:
    """Return a printable name, with control characters and invalid UTF-8 escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _matches(path: str, patterns: Sequence[str]) -> bool:
    name = path.rsplit("/", 1)[-1]
    # A `*` matches slashes, too, so that `**/` differs only in matching no directory at all.
    patterns = [each for pattern in patterns for each in {pattern, pattern.replace("**/", "")}]
    return any(fnmatch.fnmatchcase(path, each) or fnmatch.fnmatchcase(name, each) for each in patterns)
