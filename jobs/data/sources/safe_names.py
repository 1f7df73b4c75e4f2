"""Validation of untrusted file names, so that files stay in their directory."""

from __future__ import annotations

_MAX_NAME = 1024
_MAX_PART = 255
"""Bytes; a file system's limit for one part of a path."""


def why_unsafe(name: str) -> str | None:
    """Return why a relative path with slashes is not safe, in a few words; ``None`` if it is."""
    if not name or len(name) > _MAX_NAME:
        return "is empty or very long"
    if not name.isprintable():  # Control characters, and surrogates, which stand for invalid UTF-8.
        return "has a character that cannot be printed"
    if "\\" in name:
        return "has a backslash"
    if name.startswith("/"):
        return "is absolute"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "has an empty part, '.' or '..'"
    if any(len(part.encode()) > _MAX_PART for part in parts):
        return "has a very long part"
    return None
