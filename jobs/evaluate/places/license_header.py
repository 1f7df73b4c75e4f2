"""The license header of a file: comments at its top that name a license or a copyright."""

from __future__ import annotations

import re

_MENTIONS = re.compile(
    r"copyright|\(c\)\s*\d{4}|©|licen[sc]e|spdx-|permission is hereby|all rights reserved", re.I
)
_LINE = re.compile(
    r"\ufeff?\s*(?:$|//|--|;|%|\"[^\"]|'[^']|\*|dnl\b|rem\b|<\?(?:php|xml)\b"
    r"|#(?!\s*(?:include|define|if|ifdef|ifndef|else|endif|undef|pragma|import|error|line)\b|!?\[))",
    re.I,
)
"""A blank line, or one that is a comment from its beginning."""
_BLOCKS = (
    ("/*", "*/"), ("<!--", "-->"), ('"""', '"""'), ("'''", "'''"), ("=begin", "=end"), ("{-", "-}"),
    ("(*", "*)"), ("--[[", "]]"), ("<#", "#>"),
)  # fmt: skip


def header_end(text: str) -> int:
    """The number of characters before the first line that is not part of a license header; 0 without one."""
    position, closing = 0, ""
    for line in text.splitlines(keepends=True):
        start = line.strip().removeprefix("\ufeff")
        if closing:
            closing = "" if closing in start else closing
        elif block := next((block for block in _BLOCKS if start.startswith(block[0])), None):
            closing = "" if block[1] in start[len(block[0]) :] else block[1]
        elif not _LINE.match(line.rstrip("\r\n")):
            break
        position += len(line)
    else:
        # An unclosed comment, or a file of comments alone.
        position = len(text)
    return position if _MENTIONS.search(text, 0, position) else 0


def license_mentions(text: str) -> list[int]:
    """The first characters of words about a license or a copyright, in order."""
    return [found.start() for found in _MENTIONS.finditer(text)]
