"""Software Heritage identifiers (SWHID 1.2, ISO/IEC 18670), computed from the contents alone."""

from __future__ import annotations

import hashlib


def content_swhid(content: bytes) -> str:
    """Return ``swh:1:cnt:<40 hex digits>`` for the bytes of a file.

    The digits are those of git's blob (www.swhid.org, section 5.1).
    """
    header = b"blob %d\0" % len(content)
    return "swh:1:cnt:" + hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
