"""Small files that stand for others: pointers of Git LFS and git-annex, and their likes.

In a checkout without the program that replaces them, they have the names of source files. Tools on Windows
add carriage returns and byte order marks; the latter are gone before a text is looked at here.
"""

from __future__ import annotations

import re
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import open_regular

_LONGEST = 32 << 10
"""Bytes of the longest pointer, by git-annex; those of Git LFS have less than 1,024."""

# Git LFS was named hawser until 2014, git-media before that; all of its releases read the earlier addresses.
_LFS = re.compile(
    r"\s*(?:#[^\n]*\n)?version https?://(?:git-lfs\.github\.com|hawser\.github\.com|git-media\.io)/\S*"
    r"[ \t]*(?:\n|\Z)"
)
# A key is BACKEND-s48113--HASH.py (git-annex, internals/key_format). A locked file is a link, which becomes a
# text with the target where links are not supported.
_ANNEX = re.compile(
    r"\s*(?:(?:\.\./)*(?:[\w.-]+/){0,40}?\.git(?:/modules/[\w./-]{1,400}?)?)?/?annex/objects/"
    r"(?:[\w.%&-]{1,20}/){0,2}[A-Z0-9_]{2,30}(?:-[smSC]\d+){0,4}--[^\n]*\s*(?:\n[^\0]*)?"
)
_FAT = re.compile(r"\s*#\$# git-fat [0-9a-f]{40}[ \t]+\d+\s*")
_XET = re.compile(r"\s*# xet version \d[^\n]*(?:\n[^\0]*)?")
_MARKS = ("version http", "annex/objects/", "#$# git-fat", "# xet version")


def pointer_kind(text: str) -> str | None:
    """Return ``Git LFS pointer``, ``git-annex pointer`` and the like; ``None`` for any other text.

    Args:
        text: of a file, without a byte order mark.
    """
    head = text[:1024].replace("\\", "/")
    if len(text) > _LONGEST or not any(mark in head for mark in _MARKS):
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _LFS.match(text):
        return "Git LFS pointer"
    if _ANNEX.fullmatch(text.replace("\\", "/")):
        return "git-annex pointer"
    if _FAT.fullmatch(text):
        return "git-fat pointer"
    return "Xet pointer" if _XET.fullmatch(text) else None


def pointer_error(path: Path) -> InputError | None:
    """Return the error of a file of records that is a pointer; ``None`` for any other file."""
    try:
        with open_regular(path, "data file") as stream:
            kind = pointer_kind(stream.read(_LONGEST + 1).decode("utf-8-sig", "replace"))
    except (OSError, InputError):
        return None
    if kind is None:
        return None
    return InputError(
        f"The file is a {kind}, without the data that it stands for.",
        where=str(path),
        fix="fetch the data, e.g. git lfs pull" if "LFS" in kind else "fetch the data with that program",
    )
