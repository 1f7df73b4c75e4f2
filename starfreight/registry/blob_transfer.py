"""One attempt to download a blob: threads receive segments in order, and the digest follows them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator

import requests
from urllib3.exceptions import MaxRetryError, ProtocolError

from starfreight.console import Advance
from starfreight.package import Descriptor
from starfreight.registry.blob_response import read_piece, strong_etag
from starfreight.registry.client import RegistryClient
from starfreight.registry.failures import unreachable
from starfreight.registry.pace import limit_answer
from starfreight.registry.partial_file import PartialFile, Segment
from starfreight.registry.session import retry_policy

_CHUNK = 1 << 20
_JOURNAL_INTERVAL = 1.0
"""Seconds between two writes of the journal."""
_LEAVE = 5.0
"""Seconds to wait for threads to end after an error; they write nothing more in any case."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


class RangesUnusable(Exception):
    """The registry ignores ranges, or answers them wrongly."""


class Transfer:
    """An attempt to complete a partial file.

    Args:
        client: the repository.
        descriptor: the blob.
        partial: its file; bytes that it holds already are not requested again.
        advance: called with the size of each chunk.
        parts: maximum number of parallel requests.
        ranges: request ranges. Otherwise the file has one segment, which restarts when a connection breaks.
    """

    def __init__(
        self,
        client: RegistryClient,
        descriptor: Descriptor,
        partial: PartialFile,
        advance: Advance,
        parts: int,
        *,
        ranges: bool,
    ) -> None:
        self._client, self._descriptor, self._partial = client, descriptor, partial
        self._advance, self._parts, self._ranges = advance, parts, ranges
        self._changed = threading.Condition()
        self._queue = iter([segment for segment in partial.segments if segment.left])
        self._open: set[requests.Response] = set()
        self._answered = False
        self._working = 0
        """Number of threads that have been started and not ended."""
        self._counted = 0
        self._stopped = False
        self._failure: BaseException | None = None
        self._restarts = 0
        self._ended: int | None = None
        """Length of the blob as sent, if it is not the announced one."""

    def run(self) -> tuple[str, int]:
        """Receive the missing bytes.

        Returns:
            digest and number of bytes; more bytes than announced are counted as one more.

        Raises:
            RangesUnusable: see there.
            ServiceError: the registry is unreachable, refuses or keeps failing.
        """
        self._count(self._partial.received)
        missing = sum(1 for segment in self._partial.segments if segment.left)
        # An empty blob is requested like any other: the registry may not have it.
        if self._descriptor.size == 0:
            self._queue, missing = iter(self._partial.segments), 1
        threads = [
            threading.Thread(target=self._work, daemon=True, name="fetch")
            for _ in range(min(self._parts, missing) if self._ranges else 1)
        ]
        try:
            # Before the others ask, the first answer shows if the registry knows ranges and credentials.
            self._start(threads[:1])
            return self._follow(threads[1:])
        finally:
            self._stop(threads)
            with contextlib.suppress(OSError):  # Another error is on its way, or the file is complete.
                self._partial.save()

    def uncount(self) -> None:
        """Take back the progress of this attempt."""
        self._count(-self._counted)

    def _start(self, threads: list[threading.Thread]) -> None:
        for thread in threads:
            with self._changed:
                self._working += 1
            thread.start()

    def _follow(self, waiting: list[threading.Thread]) -> tuple[str, int]:
        """Hash the bytes behind the threads that receive them; start ``waiting`` after the first answer."""
        digest, position, restarts = hashlib.sha256(), 0, 0
        size = self._descriptor.size
        saved = time.monotonic()
        while True:
            with self._changed:
                if (
                    self._failure is None
                    and self._restarts == restarts
                    and self._frontier() == position
                    and not (waiting and self._answered)
                    and self._working
                ):
                    self._changed.wait(_JOURNAL_INTERVAL)
                if self._failure is not None:
                    raise self._failure
                if self._restarts != restarts:
                    digest, position, restarts = hashlib.sha256(), 0, self._restarts
                if self._ended is not None and not self._working:
                    return "", self._ended
                frontier, working = self._frontier(), self._working
            if waiting and self._answered:
                self._start(waiting)
                waiting = []
            if position == size and not working:
                return "sha256:" + digest.hexdigest(), size
            if frontier > position:
                # One piece at a time, so that errors and restarts are noticed.
                piece = os.pread(self._partial.handle, min(_CHUNK, frontier - position), position)
                digest.update(piece)
                position += len(piece)
                if not piece:
                    return "", position  # The journal claimed bytes that the file does not have.
            if time.monotonic() - saved > _JOURNAL_INTERVAL:
                self._partial.save()
                saved = time.monotonic()

    def _frontier(self) -> int:
        """Number of bytes received without a gap."""
        for segment in self._partial.segments:
            if segment.left:
                return segment.position
        return self._descriptor.size

    def _stop(self, threads: list[threading.Thread]) -> None:
        with self._changed:
            self._stopped = True
            for response in self._open:
                with contextlib.suppress(Exception):
                    response.raw.shutdown()
        end = time.monotonic() + _LEAVE
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        failure: BaseException | None = None
        try:
            while (segment := self._next()) is not None:
                self._receive(segment)
        except BaseException as error:
            failure = error
        with self._changed:
            self._working -= 1
            self._failure = self._failure or failure
            self._changed.notify_all()

    def _next(self) -> Segment | None:
        with self._changed:
            return None if self._stopped else next(self._queue, None)

    def _receive(self, segment: Segment) -> None:
        """Receive a segment to its end; broken connections are replaced."""
        retry = retry_policy()
        gained, furthest = 0, segment.received
        while not self._stopped:
            try:
                with self._request(segment) as response:
                    self._copy(response, segment)
                if not segment.left or self._ended is not None:
                    return
                error = requests.ConnectionError("connection closed early")
            except requests.ConnectionError as broken:
                error = broken
            if self._stopped:
                return
            # A stream that restarts and breaks at the same place again has gained nothing.
            gained += max(0, segment.received - furthest)
            furthest = max(furthest, segment.received)
            if gained >= _CHUNK:
                retry, gained = retry_policy(), 0
            if not self._ranges:
                self._restart(segment)
            try:
                retry = retry.increment("GET", "/", error=ProtocolError(str(error)))
            except MaxRetryError:
                doing = f"fetching {self._descriptor.digest}"
                raise unreachable(error, self._client.host, doing, insecure=self._client.insecure) from error
            retry.sleep()

    @contextlib.contextmanager
    def _request(self, segment: Segment) -> Iterator[requests.Response]:
        start, end = segment.position, segment.end
        whole = start == 0 and end == self._descriptor.size
        headers = {}
        if not whole:
            headers["Range"] = f"bytes={start}-{end - 1}"
            if self._partial.etag:
                headers["If-Range"] = self._partial.etag
        response = self._client.open_blob(self._descriptor, headers)
        with response:
            if not whole:
                self._check_range(response, start, end)
            # Chunks have headers.
            limit_answer(response, 2 * (end - start))
            with self._changed:
                if self._stopped:
                    raise requests.ConnectionError("stopped")
                if not self._partial.etag:
                    self._partial.etag = strong_etag(response)
                self._open.add(response)
                self._answered = True
                self._changed.notify_all()
            try:
                yield response
            finally:
                with self._changed:
                    self._open.discard(response)

    def _check_range(self, response: requests.Response, start: int, end: int) -> None:
        """Make sure that an answer holds the range's beginning, of the same blob as other answers."""
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if response.status_code != 206 or match is None:
            raise RangesUnusable
        first, last, total = match.groups()
        etag = strong_etag(response)
        if (
            int(first) != start
            or not start <= int(last) < end
            or total not in ("*", str(self._descriptor.size))
            or (etag and self._partial.etag and etag != self._partial.etag)
        ):
            raise RangesUnusable

    def _copy(self, response: requests.Response, segment: Segment) -> None:
        """Write an answer's body to the file.

        Raises:
            RangesUnusable: it is longer than its range.
            requests.ConnectionError: the connection broke.
        """
        while piece := read_piece(response, _CHUNK):
            with self._changed:
                if self._stopped:
                    return
                if self._ended is not None:
                    continue  # An endless answer is an error of its own.
                if len(piece) > segment.left:
                    if response.status_code == 206:
                        raise RangesUnusable
                    self._ended = self._descriptor.size + 1
                    continue
                # Under the lock: after an error, a thread that lives on writes nothing more.
                written = 0
                while written < len(piece):
                    written += os.pwrite(
                        self._partial.handle, memoryview(piece)[written:], segment.position + written
                    )
                segment.received += len(piece)
                self._count(len(piece))
                self._changed.notify_all()
        with self._changed:
            if response.status_code == 200 and segment.left and not self._stopped and self._ended is None:
                self._ended = segment.position

    def _restart(self, segment: Segment) -> None:
        with self._changed:
            self._count(-segment.received)
            segment.received = 0
            self._restarts += 1
            self._changed.notify_all()

    def _count(self, amount: int) -> None:
        with self._changed:
            self._counted += amount
            if amount:
                self._advance(amount)
