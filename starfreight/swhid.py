"""Software Heritage identifiers (SWHID 1.2, ISO/IEC 18670), computed from the contents alone."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import open_regular

_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileIdentifiers:
    """The identifiers of a file's bytes.

    Attributes:
        digest: ``sha256:<64 hex digits>``.
        swhid: ``swh:1:cnt:<40 hex digits>``.
        size: in bytes.
    """

    digest: str
    swhid: str
    size: int


def content_swhid(content: bytes) -> str:
    """Return ``swh:1:cnt:<40 hex digits>`` for the bytes of a file.

    The digits are those of git's blob (www.swhid.org, section 5.1).
    """
    header = b"blob %d\0" % len(content)
    return "swh:1:cnt:" + hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def identify_file(path: Path) -> FileIdentifiers:
    """Compute the identifiers of a file of any size, reading it once.

    Raises:
        InputError: it is missing, unreadable, not a regular file, or changes while it is read.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            digest, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            read = 0
            while piece := stream.read(_CHUNK):
                digest.update(piece)
                blob.update(piece)
                read += len(piece)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # The last one for NUL in the path.
        raise InputError("The file does not exist.", where=str(path), fix="check the path") from None
    except OSError as error:
        raise InputError(
            f"The file cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="check the path and its permissions",
        ) from error
    if read != size:
        raise InputError(
            "The file changed while it was read.", where=str(path), fix="run the same command again"
        )
    return FileIdentifiers("sha256:" + digest.hexdigest(), "swh:1:cnt:" + blob.hexdigest(), size)
