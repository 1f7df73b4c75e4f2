"""Send a package's blobs over a few connections at a time."""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starfreight.console import Advance, Console
from starfreight.package import Descriptor

if TYPE_CHECKING:
    from starfreight.registry.publishing import BlobSource, PublishingClient

CONNECTIONS = 4
"""Blobs on their way at a time; each needs about 2 MiB of memory."""


def send_blobs(
    client: PublishingClient,
    source: BlobSource,
    blobs: tuple[Descriptor, ...],
    mount_from: tuple[str, ...],
    console: Console,
) -> int:
    """Upload the blobs that the repository lacks.

    The smallest one goes first and alone, so that a refusal comes early and once. The others follow, the
    largest first. After an error or an interruption, those on their way are given up.

    Args:
        client: the repository.
        source: the files.
        blobs: all blobs.
        mount_from: repositories of the same registry that may hold some.
        console: shows progress.

    Returns:
        The number of bytes sent.

    Raises:
        GateError: a file does not have its digest; the registry did not get all of it.
        ServiceError: the registry cannot be reached, refuses, or keeps failing.
    """
    if not blobs:
        return 0
    first, *others = sorted(blobs, key=lambda blob: (blob.size, blob.digest))
    with console.progress("Uploading", total=sum(blob.size for blob in blobs), unit="B") as advance:
        sending = _Sending(client, source, mount_from, advance)
        sending.send(first)
        sending.send_all(others[::-1])
    return sending.sent


@dataclass
class _Sending:
    client: PublishingClient
    source: BlobSource
    mount_from: tuple[str, ...]
    report: Advance
    sent: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, blob: Descriptor) -> None:
        """Upload a blob, or mount it, unless the repository holds it."""
        if self.mount_from and self.client.stored_size(blob) != blob.size:
            any(self.client.mount(blob, repository) for repository in self.mount_from)
        if self.client.upload(self.source, blob, self._advance, stopped=self._stopped.is_set):
            with self._lock:
                self.sent += blob.size

    def send_all(self, blobs: list[Descriptor]) -> None:
        """Upload blobs in threads. The first error is raised."""
        waiting: queue.SimpleQueue[Descriptor] = queue.SimpleQueue()
        for blob in blobs:
            waiting.put(blob)
        # Not an executor: it waits for its threads, and an interrupted command must not.
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        count = min(CONNECTIONS, len(blobs))
        for _ in range(count):
            threading.Thread(target=self._work, args=(waiting, ended), daemon=True).start()
        try:
            for _ in range(count):
                if (error := ended.get()) is not None:
                    raise error
        finally:
            self._stopped.set()

    def _work(
        self, waiting: queue.SimpleQueue[Descriptor], ended: queue.SimpleQueue[BaseException | None]
    ) -> None:
        try:
            with contextlib.suppress(queue.Empty):
                while not self._stopped.is_set():
                    self.send(waiting.get_nowait())
        except BaseException as error:  # Raised again by the thread that waits.
            ended.put(error)
        else:
            ended.put(None)

    def _advance(self, amount: float, what: str | None = None) -> None:
        with self._lock:
            self.report(amount, what)
