"""Weights at their source, read in blocks with a digest each, a few of them ahead of their use.

Memory holds at most :data:`HELD` blocks of :data:`BLOCK` bytes, 134 MB, and those in use by other threads.
"""

from __future__ import annotations

import hashlib
import mmap
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from starfreight.console import Advance
from starfreight.errors import GateError
from starfreight.remote_weights.byte_source import ByteSource, receive, stopped

BLOCK = 1 << 23
"""Bytes of a block, and of a request."""

HELD = 16
"""Blocks in memory."""

AHEAD = 8
"""Blocks requested before they are needed, all at a time."""

_Key = tuple[str, int]
"""A file's name, and the number of a block in it."""


class _Held:
    """A block in memory, or on its way."""

    def __init__(self) -> None:
        self.data: mmap.mmap | None = None
        self.error: BaseException | None = None


class BlockReader:
    """Reads files at their sources: the :class:`~starfreight.checkpoint.StreamedWeights` of a base model.

    Args:
        where: the base model, for an error.
        sources: its files by name.
    """

    def __init__(self, where: str, sources: Mapping[str, ByteSource]) -> None:
        self._where, self._sources = where, dict(sources)
        self._changed = threading.Condition()
        self._held: OrderedDict[_Key, _Held] = OrderedDict()
        self._digests: dict[_Key, bytes] = {}
        self._verified: set[str] = set()
        self._order: list[_Key] = []
        self._next = 0
        """Index in the order of the first block not asked for yet."""
        self._stopped = False

    @property
    def where(self) -> str:
        """The base model, for an error."""
        return self._where

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file by name."""
        return {name: source.size for name, source in self._sources.items()}

    @property
    def published(self) -> Mapping[str, str]:
        """The digest that the source gives for each file, by name."""
        return {name: source.digest for name, source in self._sources.items()}

    def verify(self, name: str, advance: Advance) -> str:
        """Read a file from end to end, and keep the digest of each block. Returns the file's digest.

        Raises:
            GateError: the source sent other bytes before.
            InputError: the source no longer has the file, or denies access.
            ServiceError: the source fails, or cannot send ranges.
        """
        size = self._sources[name].size
        self.expect([(name, 0, size)])
        whole = hashlib.sha256()
        for number in range(-(-size // BLOCK)):
            block = self._block((name, number))
            whole.update(block)
            advance(len(block))
        self._verified.add(name)
        return "sha256:" + whole.hexdigest()

    def read(self, name: str, position: int, buffer: memoryview) -> None:
        """Fill a buffer with bytes of a verified file, from ``position`` on.

        Raises:
            GateError: the source sends other bytes than those verified.
            InputError: the source no longer has the file, or denies access.
            ServiceError: the source fails.
        """
        if name not in self._verified:
            raise RuntimeError(f"{name} is read before it is verified")
        done = 0
        while done < len(buffer):
            number, begin = divmod(position + done, BLOCK)
            part = memoryview(self._block((name, number)))[begin : begin + len(buffer) - done]
            buffer[done : done + len(part)] = part
            done += len(part)

    def expect(self, ranges: Sequence[tuple[str, int, int]]) -> None:
        """Read ahead in this order from now on: name, first byte and number of bytes of each range."""
        order: list[_Key] = []
        for name, offset, size in ranges:
            for number in range(offset // BLOCK, -(-(offset + size) // BLOCK)):
                if not order or order[-1] != (name, number):
                    order.append((name, number))
        with self._changed:
            self._order, self._next = order, 0

    def stop(self) -> None:
        """Fail all reads at once, those that wait in other threads too."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _block(self, key: _Key) -> mmap.mmap:
        with self._changed:
            held = self._request(key)
            self._request_ahead(key)
            while held.data is None and held.error is None and not self._stopped:
                self._changed.wait()
            if held.error is not None:
                raise held.error
            if held.data is None:
                raise stopped(self._sources[key[0]].where)
            return held.data

    def _request(self, key: _Key) -> _Held:
        """A block that is held, or now on its way. The caller holds the lock."""
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        held = self._held[key] = _Held()
        while len(self._held) > HELD:
            self._held.popitem(last=False)
        # A daemon: a command that was stopped does not wait for an answer.
        threading.Thread(target=self._fetch, args=(key, held), daemon=True, name="weights").start()
        return held

    def _request_ahead(self, key: _Key) -> None:
        if key not in self._order[max(0, self._next - HELD) : self._next]:
            try:
                self._next = self._order.index(key, self._next) + 1
            except ValueError:  # A header, read between two tensors.
                return
        for later in self._order[self._next : self._next + AHEAD]:
            if later not in self._held:
                self._request(later)

    def _fetch(self, key: _Key, held: _Held) -> None:
        source, start = self._sources[key[0]], key[1] * BLOCK
        try:
            stop = min(start + BLOCK, source.size)
            data = receive(source, start, stop, lambda: self._stopped)
            digest = hashlib.sha256(data).digest()
        except BaseException as error:  # For the threads that wait for the block.
            with self._changed:
                held.error = error
                self._changed.notify_all()
            return
        with self._changed:
            if self._digests.setdefault(key, digest) == digest:
                held.data = data
            else:
                held.error = GateError(
                    f"The server sent other bytes than before ({start:,} to {stop:,}).",
                    where=source.where,
                    fix="do not use it; download the base (--no-stream-base), or name a directory with it",
                )
            self._changed.notify_all()
