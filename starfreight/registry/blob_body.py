"""The body of an upload: a file, hashed while it is sent, that can begin again at any byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

from starfreight.console import Advance
from starfreight.errors import GateError
from starfreight.package import Descriptor

BLOCK = 1 << 20
"""Bytes to read and hash at a time."""

PIECE = 1 << 16
"""Bytes to send at a time. The socket's timeout holds for a whole piece, so an upload has a least pace."""

CHECKPOINT = 16 << 20
"""Bytes between two saved states of the hash. To continue somewhere, less than that is read again."""


class UploadStopped(Exception):
    """The upload was given up, because another one failed or the user interrupted the command."""


class BlobBody:
    """The rest of a blob as the body of a request; requests streams any iterable.

    Every byte is hashed in the pass that sends it. The end of the file is held back until the digest is
    known to be right, so a registry never gets all of a damaged file.

    Args:
        stream: the open file.
        descriptor: its size and digest.
        advance: called with the size of each piece, and with a negative number after a setback.
        where: the file, for errors.
        stopped: asked before each block; true to give up.
    """

    def __init__(
        self,
        stream: IO[bytes],
        descriptor: Descriptor,
        advance: Advance,
        *,
        where: str,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stream, self._descriptor, self._advance = stream, descriptor, advance
        self._where, self._stopped = where, stopped
        self._start = self._sent = self._read = 0
        self._digest = hashlib.sha256()
        self._saved: list[tuple[int, Any]] = [(0, self._digest.copy())]
        self._hashing: Future[None] | None = None
        self._hasher: ThreadPoolExecutor | None = None

    @property
    def sent(self) -> int:
        """Position in the blob: bytes handed to the connection, in this request or before it."""
        return self._sent

    def begin_at(self, offset: int) -> None:
        """Let the body begin at a byte of the blob, at most the position so far."""
        self._wait()
        while self._saved[-1][0] > offset:
            self._saved.pop()
        self._read, digest = self._saved[-1]
        self._digest = digest.copy()
        self._stream.seek(self._read)
        while self._read < offset:
            self._digest.update(self._next(min(BLOCK, offset - self._read)))
        self._advance(offset - self._sent)
        self._start = self._sent = offset

    def close(self) -> None:
        """End the thread that hashes."""
        if self._hasher is not None:
            self._hasher.shutdown(wait=True)
            self._hasher = None

    def __len__(self) -> int:
        """Size of the whole body, independent of the position in it."""
        return self._descriptor.size - self._start

    def tell(self) -> int:
        """Number of bytes sent of this body."""
        return self._sent - self._start

    def seek(self, offset: int, whence: int = 0) -> int:
        """Rewind to the start of this body, the only position supported."""
        if offset or whence:
            raise OSError("a body is sent from its first byte")
        self.begin_at(self._start)
        return 0

    def __iter__(self) -> Iterator[memoryview]:
        """The body in pieces.

        Raises:
            GateError: the file does not have the blob's size or digest.
            UploadStopped: the upload was given up.
        """
        while self._read < self._descriptor.size:
            if self._stopped():
                raise UploadStopped
            block = self._next(BLOCK)
            self._wait()
            if self._read - self._saved[-1][0] - len(block) >= CHECKPOINT:
                self._saved.append((self._read - len(block), self._digest.copy()))
            if self._read >= self._descriptor.size:
                self._digest.update(block)
                self._check()
            else:
                self._hash(block)
            view = memoryview(block)
            for start in range(0, len(block), PIECE):
                piece = view[start : start + PIECE]
                self._sent += len(piece)
                self._advance(len(piece))
                yield piece

    def _next(self, amount: int) -> bytes:
        block = self._stream.read(min(amount, self._descriptor.size - self._read))
        if not block:
            raise self._changed()
        self._read += len(block)
        return block

    def _hash(self, block: bytes) -> None:
        """Hash a block in another thread: neither hashing nor sending holds Python's lock."""
        if self._hasher is None:
            self._hasher = ThreadPoolExecutor(1, "hash")
        self._hashing = self._hasher.submit(self._digest.update, block)

    def _wait(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def _check(self) -> None:
        if self._stream.read(1) or "sha256:" + self._digest.hexdigest() != self._descriptor.digest:
            raise self._changed()

    def _changed(self) -> GateError:
        return GateError(
            f"The blob {self._descriptor.digest} has another digest on disk: the file changed.",
            where=self._where,
            fix="build or download the package again",
        )
