"""Unpacks the tar of :mod:`run_archive`: bounded in size, only into its directory, each digest checked."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import IO, Annotated

from pydantic import Field

from starfreight.console import Advance
from starfreight.errors import GateError, ServiceError
from starfreight.files import disk_errors
from starfreight.jobs.backends.kubernetes.run_archive import INDEX
from starfreight.jobs.bounded_tar import TAR_ERRORS, UnsafeArchiveError, open_archive
from starfreight.records import FileDigest, Part

_LARGEST_INDEX = 16 << 20
_MOST = 100_000
_CHUNK = 1 << 20
_NO_PLACE = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL)
"""Errors of two names that exclude each other (``a``, ``a/b``), and of names that no file can have."""


def _ignore(amount: float, what: str | None = None) -> None:
    """Shows no progress."""


class Index(Part):
    """Contents of the tar; its first member."""

    run: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$")]
    """Name of the directory: a run's id, or a package's name."""
    files: Annotated[tuple[FileDigest, ...], Field(max_length=_MOST)]

    @property
    def size(self) -> int:
        """Total size of the files in bytes."""
        return sum(one.size for one in self.files)


class Unpacking:
    """Reads the tar from a stream.

    Args:
        stream: bytes of the tar.
        where: its source, for messages.

    Raises:
        ServiceError: the stream broke off, or is not such a tar.
    """

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._where = where
        try:
            self._tar = open_archive(stream)
            first = self._tar.next()
            if first is None or first.name != INDEX or first.size > _LARGEST_INDEX:
                raise self._broken("the index is missing")
            data = self._tar.extractfile(first)
            self.index = Index.model_validate_json(data.read() if data else b"")
        except UnsafeArchiveError as error:
            raise self._unsafe(error) from error
        except TAR_ERRORS as error:  # A ValidationError is a ValueError.
            raise self._broken(type(error).__name__) from error
        if len({one.path for one in self.index.files}) != len(self.index.files):
            raise self._broken("the index lists a file twice")

    def into(self, folder: Path, advance: Advance = _ignore) -> None:
        """Writes the files into an empty directory; ``advance`` is called with numbers of bytes.

        Raises:
            GateError: a file does not match the index.
            ServiceError: the stream broke off, or the disk is full.
        """
        for one in self.index.files:
            try:
                member = self._tar.next()
                stream = self._tar.extractfile(member) if member and member.isreg() else None
            except UnsafeArchiveError as error:
                raise self._unsafe(error) from error
            except TAR_ERRORS as error:
                raise self._broken(type(error).__name__) from error
            if member is None or stream is None:
                raise self._broken(f"{one.path} is missing")
            if member.name != one.path or member.size != one.size:
                raise self._wrong(one, "does not match the index")
            self._write(stream, folder / one.path, one, advance)

    def _write(self, stream: IO[bytes], path: Path, one: FileDigest, advance: Advance) -> None:
        digest, size = hashlib.sha256(), 0
        with disk_errors(path), self._create(path, one) as out:
            try:
                while piece := stream.read(_CHUNK):
                    digest.update(piece)
                    size += len(piece)
                    out.write(piece)
                    advance(len(piece))
            except TAR_ERRORS as error:
                raise self._broken(type(error).__name__) from error
        if size != one.size:
            raise self._broken(f"{one.path} ends early")
        if "sha256:" + digest.hexdigest() != one.digest:
            raise self._wrong(one, "does not match its digest; it may have changed in the meantime")

    def _create(self, path: Path, one: FileDigest) -> IO[bytes]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
        except OSError as error:
            if error.errno not in _NO_PLACE:
                raise
            raise self._wrong(one, f"cannot be created beside the other files: {error.strerror}") from error

    def _wrong(self, one: FileDigest, what: str) -> GateError:
        return GateError(
            f"{one.path[:200]!r} {what}.",
            where=self._where,
            fix="fetch it again, after the end of the job if it is still running",
        )

    def _unsafe(self, error: UnsafeArchiveError) -> GateError:
        return GateError(
            f"The archive of the files {error}.",
            where=self._where,
            fix="do not use these files: the pod sends an archive that Starfreight does not write",
        )

    def _broken(self, how: str) -> ServiceError:
        return ServiceError(
            f"The files are incomplete: {how}.", where=self._where, fix="run the same command again"
        )
