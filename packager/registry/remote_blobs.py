"""Blobs of one registry as a source for uploads to another, without a temporary file."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from typing import IO, cast

import requests
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from starfreight.errors import GateError
from starfreight.package import Descriptor
from starfreight.registry.client import RegistryClient
from starfreight.registry.failures import unreachable
from starfreight.registry.session import retry_policy

_CHUNK = 1 << 20
_PROGRESS = 16 << 20
"""Bytes between two broken answers that make the second one a new failure, not a repeated one."""


class RemoteBlobs:
    """Blobs of a repository, for :meth:`starfreight.registry.publishing.PublishingClient.upload`.

    Args:
        client: the repository.
        where: its reference, for error messages.
    """

    def __init__(self, client: RegistryClient, where: str) -> None:
        self._client = client
        self._where = where

    @contextlib.contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[IO[bytes]]:
        """Open a blob at its first byte; may be called repeatedly."""
        stream = _RemoteStream(self._client, descriptor, self._where)
        try:
            yield cast(IO[bytes], stream)
        finally:
            stream.close()

    def where(self, descriptor: Descriptor) -> str:
        """Location of a blob, for error messages."""
        return f"{self._where}, blob {descriptor.digest}"


class _RemoteStream(io.RawIOBase):
    """A blob as a file that can be rewound; a broken answer continues at the byte where it broke."""

    def __init__(self, client: RegistryClient, descriptor: Descriptor, where: str) -> None:
        self._client = client
        self._descriptor = descriptor
        self._where = where
        self._position = 0
        self._response: requests.Response | None = None
        self._retry = retry_policy()
        self._broke_at = 0
        self._hash = hashlib.sha256()
        self._hashed = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._descriptor.size}[whence]
        if base + offset != self._position:
            self._disconnect()
            self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        left = self._descriptor.size - self._position
        wanted = left if size < 0 else min(size, left)
        pieces = []
        while wanted > 0:
            piece = self._read_once(min(wanted, _CHUNK))
            self._count(piece)
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _read_once(self, wanted: int) -> bytes:
        while True:
            try:
                if self._response is None:
                    self._response = self._request()
                piece: bytes = self._response.raw.read(wanted, decode_content=False)
                if piece:
                    return piece
                raise ProtocolError("the answer ended early")
            except (HTTPError, OSError) as error:  # Errors of the request itself are ServiceErrors.
                self._disconnect()
                broken = requests.ConnectionError(error)
                doing = f"reading {self._descriptor.digest}"
                if abs(self._position - self._broke_at) >= _PROGRESS:
                    self._retry = retry_policy()
                self._broke_at = self._position
                try:
                    self._retry = self._retry.increment("GET", error=ProtocolError(str(error)))
                except MaxRetryError:
                    raise unreachable(broken, self._where, doing) from error
                self._retry.sleep()

    def _request(self) -> requests.Response:
        headers = {"Range": f"bytes={self._position}-"} if self._position else {}
        response = self._client.open_blob(self._descriptor, headers)
        if not self._position or response.status_code == 206:
            return response
        if response.status_code != 200:
            response.close()
            raise self._wrong("has another size than announced")
        skipped = 0
        while skipped < self._position:  # A registry without ranges.
            piece = response.raw.read(min(_CHUNK, self._position - skipped), decode_content=False)
            if not piece:
                raise ProtocolError("the answer ended early")
            skipped += len(piece)
        return response

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _count(self, piece: bytes) -> None:
        start, self._position = self._position, self._position + len(piece)
        if start == 0:
            self._hash, self._hashed = hashlib.sha256(), 0
        if start == self._hashed:
            self._hash.update(piece)
            self._hashed += len(piece)
            whole = self._hashed == self._descriptor.size
            if whole and "sha256:" + self._hash.hexdigest() != self._descriptor.digest:
                raise self._wrong("has another digest")

    def _wrong(self, what: str) -> GateError:
        return GateError(
            f"The blob {self._descriptor.digest} {what} in the registry that it is copied from.",
            where=self._where,
            fix="do not use it; push the artifact again there",
        )
