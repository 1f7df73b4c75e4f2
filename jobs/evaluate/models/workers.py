"""Requests shared out among workers, each of which completes one at a time."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from starfreight.jobs.evaluate.models.interface import Completion, Request


class Worker(Protocol):
    """Completes a request at a time."""

    def complete(self, request: Request) -> Completion:
        """The completion."""
        ...

    def cancel(self) -> None:
        """Ends the completion under way, from another thread: it raises any exception."""
        ...


def share_out(requests: Iterable[Request], workers: Sequence[Worker]) -> Iterator[tuple[Request, Completion]]:
    """Yields completions in the order in which they end.

    Requests are taken as workers become free, and by one thread at a time. After the first error no more are
    taken; what has ended is yielded before the error is raised. Closing the iterator cancels all workers.
    """
    source, lock, stopping = iter(requests), threading.Lock(), threading.Event()
    done: queue.SimpleQueue[tuple[Request, Completion] | BaseException | None] = queue.SimpleQueue()

    def work(worker: Worker) -> None:
        try:
            while not stopping.is_set():
                with lock:
                    request = next(source, None)
                if request is None:
                    break
                done.put((request, worker.complete(request)))
        except BaseException as error:
            stopping.set()
            done.put(error)
        finally:
            done.put(None)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    running, failure = len(threads), None
    try:
        while running:
            found = done.get()
            if found is None:
                running -= 1
            elif isinstance(found, BaseException):
                failure = failure or found
            else:
                yield found
        if failure is not None:
            raise failure
    finally:
        stopping.set()
        if running:
            for worker in workers:
                with contextlib.suppress(Exception):
                    worker.cancel()
        for thread in threads:
            thread.join()
