"""Output of several pods at the same time: of a run on several nodes, and of a sweep.

Each container has a thread that reads its log, across lost connections. Lines of one container come in their
order; those of different ones as they arrive.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.container_log import PodLine, container_lines, has_log
from starfreight.jobs.backends.kubernetes.client.job_status import (
    containers,
    has_ended,
    has_succeeded,
    is_over,
    is_sweep,
    paused,
)
from starfreight.jobs.backends.kubernetes.client.suspension import Held
from starfreight.jobs.backends.kubernetes.client.targets import Target, nodes_of, pods_of
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

MOST_STREAMS = 64
"""Logs read at the same time. Further ones begin as others end."""

_PAUSE = 2.0
"""Seconds between two looks at the job and its pods."""
_FULL = 1000
"""Lines that wait to be shown; then the readers wait, and the server with them."""

_Key = tuple[str, str]


def has_several_pods(job: Object, target: Target) -> bool:
    """True for a job on several nodes, and for a whole sweep."""
    return nodes_of(job) > 1 or (is_sweep(job) and target.variant is None)


def prefix_of(job: Object, target: Target, line: PodLine) -> str:
    """Shown before a line of a job with several pods: ``[3]`` for a variant, ``node 1 |`` for a node."""
    if not has_several_pods(job, target) or line.variant is None:
        return ""
    return f"node {line.variant} | " if nodes_of(job) > 1 else f"[{line.variant}] "


def parallel_lines(
    cluster: Cluster,
    target: Target,
    *,
    on_wait: Callable[[Object, list[Object]], None] = lambda job, pods: None,
    skip_ended: bool = False,
    most: int = MOST_STREAMS,
) -> Iterator[PodLine]:
    """Yields the lines of all pods of a job until it has ended or is stopped.

    Args:
        cluster: the cluster.
        target: the job.
        on_wait: called repeatedly with the job and its pods that have not ended.
        skip_ended: leave out pods that have ended already.
        most: logs to read at the same time.

    Raises:
        StarfreightError: the server refuses, or does not answer for too long.
    """
    streams = _Streams(cluster)
    if skip_ended:
        streams.skip(pod for pod in pods_of(cluster, target) if has_ended(pod))
    held = Held()
    try:
        while True:
            job = cluster.find(target.path(cluster))
            pods = pods_of(cluster, target)
            begun = streams.begin(pods, most)
            left = [pod for pod in pods if not has_ended(pod)]
            over = job is None or (not left and (is_over(job) or paused(job) is not None))
            over = over or (job is not None and held.lasts(job) and not left)
            if over and not begun and streams.are_over():
                yield from streams.rest()
                return
            if job is not None and (left or is_sweep(job) or not any(map(has_succeeded, pods))):
                on_wait(job, left)
            yield from streams.lines(0.1 if over else _PAUSE)
    finally:
        streams.stop()


class _Streams:
    """The threads that read logs, and the lines that they have read.

    Args:
        cluster: the cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lines: queue.Queue[PodLine | BaseException] = queue.Queue(_FULL)
        self._begun: set[_Key] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    def skip(self, pods: Iterator[Object]) -> None:
        """Leaves out the logs of pods."""
        self._begun |= {(pod["metadata"]["uid"], one) for pod in pods for one in containers(pod)}

    def begin(self, pods: list[Object], most: int) -> bool:
        """Starts a thread for each new log, and returns true if there were any."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        began = False
        for pod in pods:
            for one in containers(pod):
                key = (pod["metadata"]["uid"], one)
                if key in self._begun or not has_log(pod, one):
                    continue
                if len(self._threads) >= most:
                    return True
                self._begun.add(key)
                thread = threading.Thread(target=self._read, args=(pod, one), daemon=True)
                self._threads.append(thread)
                thread.start()
                began = True
        return began

    def lines(self, seconds: float) -> Iterator[PodLine]:
        """Yields the lines that arrive within some seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                found = self._lines.get(timeout=left)
            except queue.Empty:
                return
            yield self._take(found)

    def rest(self) -> Iterator[PodLine]:
        """Yields the lines that have arrived."""
        while not self._lines.empty():
            yield self._take(self._lines.get_nowait())

    def are_over(self) -> bool:
        """True if no log is being read."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Lets the threads end at their next line."""
        self._stopped.set()

    def _take(self, found: PodLine | BaseException) -> PodLine:
        if isinstance(found, BaseException):
            raise found
        return found

    def _read(self, pod: Object, container: str) -> None:
        try:
            for line in container_lines(self._cluster, pod, container, follow=True):
                self._put(line)
                if self._stopped.is_set():
                    return
        except BaseException as error:  # Raised again in the thread of the reader.
            self._put(error)

    def _put(self, found: PodLine | BaseException) -> None:
        while not self._stopped.is_set():
            try:
                self._lines.put(found, timeout=0.5)
                return
            except queue.Full:
                continue
