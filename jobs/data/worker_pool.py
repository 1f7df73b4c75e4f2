"""A map over several processes, with results in order.

    for finding in ordered_map(make_filter_worker, (recipe.data,), samples, cost=size_of):
        ...

Each process makes its worker once, from picklable arguments, and never imports torch. The results
are the same for any number of processes, and memory does not grow with the items: only a few batches are in
progress at a time.
"""

from __future__ import annotations

import itertools
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import Any, TypeVar

from starfreight.errors import ServiceError
from starfreight.machine_limits import usable_processors

Item = TypeVar("Item")
Result = TypeVar("Result")

_FOR_EACH = 2
"""Batches sent to a process at a time: one in progress and one waiting, so that it is never idle."""

_AHEAD = 4
"""Batches per process that may be done before an earlier one."""


@dataclass(frozen=True)
class Batching:
    """The size of batches. The caller supplies the cost of an item, e.g. in bytes.

    Attributes:
        cost: of one batch, approximately.
        start_after: total cost above which processes are started; less work is done in this process sooner
            than another one starts.
        most: maximum number of items in a batch.
    """

    cost: int = 1 << 18
    start_after: int = 1 << 21
    most: int = 256


BATCHING = Batching()


def ordered_map(
    make_worker: Callable[..., Callable[[Item], Result]],
    arguments: Sequence[Any],
    items: Iterable[Item],
    *,
    cost: Callable[[Item], int],
    processes: int | None = None,
    batching: Batching = BATCHING,
) -> Iterator[Result]:
    """Yield the result for each item, in the order of the items.

    All processes end when the iteration ends early, through an error, an interrupt or the caller. An error
    in a worker is raised here unchanged.

    Args:
        make_worker: called with ``arguments`` once in each process; returns the function applied to the
            items. It must be importable by name.
        arguments: for ``make_worker``; must be picklable.
        items: read as needed, by this process alone.
        cost: returns the cost of an item, in the unit of ``batching``.
        processes: maximum number of processes, by default one per processor; 1 starts no other process.
        batching: the size of batches.

    Raises:
        ServiceError: a process was killed, most likely by the system for lack of memory.
    """
    count = usable_processors() if processes is None else processes
    waiting = iter(items)
    first: list[Item] = []
    if count > 1:
        total = 0
        for item in waiting:
            first.append(item)
            total += cost(item)
            if total > batching.start_after:
                break
        else:
            count = 1
    if count == 1:
        worker = make_worker(*arguments)
        yield from map(worker, itertools.chain(first, waiting))
        return
    pool = _Pool(make_worker, arguments, count)
    try:
        batches = _batches(itertools.chain(first, waiting), cost, batching)
        del first
        for results in pool.run(batches):
            yield from results
    finally:
        pool.end()


def _batches(items: Iterable[Item], cost: Callable[[Item], int], batching: Batching) -> Iterator[list[Item]]:
    batch: list[Item] = []
    total = 0
    for item in items:
        batch.append(item)
        total += cost(item)
        if total >= batching.cost or len(batch) >= batching.most:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


class _Pool:
    """Processes, each with a pipe. They are spawned: a fork would copy locks held by threads."""

    def __init__(self, make_worker: Callable[..., Any], arguments: Sequence[Any], count: int) -> None:
        context = get_context("spawn")
        self._processes = []
        self._pipes: list[connection.Connection] = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, make_worker, tuple(arguments)), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)

    def run(self, batches: Iterator[list[Any]]) -> Iterator[list[Any]]:
        """Yield the results of each batch, in order."""
        loads = dict.fromkeys(self._pipes, 0)
        done: dict[int, tuple[list[Any], BaseException | None]] = {}
        sent = given = 0
        exhausted = False
        while True:
            while given in done:
                results, error = done.pop(given)
                if error is not None:  # In order, so that the first error is always the one raised.
                    raise error
                yield results
                given += 1
            while not exhausted and sent - given < _AHEAD * len(loads):
                pipe = min(loads, key=lambda each: loads[each])
                if loads[pipe] >= _FOR_EACH:
                    break
                batch = next(batches, None)
                if batch is None:
                    exhausted = True
                    break
                self._send(pipe, (sent, batch))
                loads[pipe] += 1
                sent += 1
            if exhausted and given == sent:
                return
            for ready in connection.wait(self._pipes):
                assert isinstance(ready, connection.Connection)
                number, results, error = self._receive(ready)
                done[number] = results, error
                loads[ready] -= 1

    def end(self) -> None:
        """Terminate all processes at once."""
        for process in self._processes:
            process.terminate()
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    def _send(self, pipe: connection.Connection, message: Any) -> None:
        try:
            pipe.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended(pipe) from None

    def _receive(self, pipe: connection.Connection) -> tuple[int, list[Any], BaseException | None]:
        try:
            answer: tuple[int, list[Any], BaseException | None] = pipe.recv()
        except (EOFError, ConnectionResetError):
            raise self._ended(pipe) from None
        return answer

    def _ended(self, pipe: connection.Connection) -> ServiceError:
        process = self._processes[self._pipes.index(pipe)]
        process.join(5)
        return ServiceError(
            f"A process that reads the data was killed (exit code {process.exitcode}), "
            "most likely for lack of memory.",
            fix="free some memory or lower run.threads in the recipe, then run the same command again",
        )


def _work(pipe: connection.Connection, make_worker: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run a process: receive batches and send results until the pipe is closed."""
    # A terminal sends Ctrl-C to all its processes; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # One processor per process.
    # A thread reads, so that the parent can send the next batch while this one is in progress.
    batches: queue.SimpleQueue[tuple[int, list[Any]] | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe, batches), daemon=True).start()
    worker = None
    while (received := batches.get()) is not None:
        number, batch = received
        error: BaseException | None = None
        results: list[Any] = []
        try:
            worker = worker or make_worker(*arguments)
            results = [worker(item) for item in batch]
        except Exception as raised:
            error = _portable(raised)
        try:
            pipe.send((number, results, error))
        except (BrokenPipeError, ConnectionResetError):
            return


def _read(pipe: connection.Connection, batches: queue.SimpleQueue[tuple[int, list[Any]] | None]) -> None:
    try:
        while True:
            batches.put(pipe.recv())
    except (EOFError, OSError):
        batches.put(None)


class WorkerError(RuntimeError):
    """The text of an error that cannot be pickled. It may quote the data."""


def _portable(error: Exception) -> Exception:
    """Return an error that can be pickled: itself, or its text if a library's error cannot."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkerError(f"{type(error).__name__}: {error}")
    return error
