"""Output of a job's pods: each line once, across new pods and lost connections."""

from __future__ import annotations

import datetime
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    container_status,
    containers,
    has_ended,
    has_succeeded,
    is_over,
    is_sweep,
    paused,
    variant_of,
)
from starfreight.jobs.backends.kubernetes.client.suspension import Held
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of
from starfreight.jobs.backends.kubernetes.client.watch import BrokenOff, lines, wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_QUIET = 120.0
"""Seconds without a line after which the connection is reopened. A step may take long."""
_PAUSE = 1.0
_WAIT = 5
"""Seconds after which the state of the job is checked again without a change of its pods."""
_LONGEST = 1 << 20


@dataclass(frozen=True)
class PodLine:
    """A line of a container's log; ``variant`` is the number in a sweep."""

    pod: str
    container: str
    variant: int | None
    text: str


class Cursor:
    """Position in a container's log.

    The API resumes a log at a whole second, by the timestamps of the kubelet, and repeats the lines of this
    second in the same order. The position is therefore the second and the number of lines seen since.
    Timestamps may be out of order, because a container has two output streams.
    """

    def __init__(self) -> None:
        self._second = ""
        self._seen = 0
        self._skip = 0

    def begin(self) -> dict[str, str]:
        """Parameters of the API to resume at the position. Repeated lines are skipped from now on."""
        self._skip = self._seen
        return {"sinceTime": self._second} if self._second else {}

    def take(self, line: bytes) -> str | None:
        """The text of a line, or ``None`` if it is a repeated one."""
        if self._skip:
            self._skip -= 1
            return None
        stamp, _, text = line.partition(b" ")
        second = _second(stamp.decode("ascii", "replace"))
        if second is None:
            text = line
        elif second > self._second:
            self._second, self._seen = second, 1
        elif second == self._second:
            self._seen += 1
        return text[:_LONGEST].decode("utf-8", "replace")


def _second(stamp: str) -> str | None:
    """A timestamp in whole seconds of UTC: ``2026-11-23T22:04:05Z`` for ``2026-11-23T23:04:05.12+01:00``."""
    zone = stamp[-6:] if stamp[-6:-5] in ("+", "-") else "Z"
    try:
        moment = datetime.datetime.fromisoformat(stamp[:19] + zone)
    except ValueError:
        return None
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def log_lines(
    cluster: Cluster,
    target: Target,
    *,
    follow: bool,
    on_wait: Callable[[Object, list[Object]], None] = lambda job, pods: None,
    skip_ended: bool = False,
) -> Iterator[PodLine]:
    """Yields the lines of all pods of a job, in the order of their creation.

    Args:
        cluster: the cluster.
        target: the job, or one variant of it.
        follow: wait for more lines until the job has ended or is stopped, by a cancel or by somebody else.
        on_wait: called repeatedly with the job and its pods while none of them is running.
        skip_ended: leave out pods that have ended already.

    Raises:
        StarfreightError: the server refuses, or does not answer for too long.
    """
    read: set[tuple[str, str]] = set()
    if skip_ended:
        over = [pod for pod in pods_of(cluster, target) if has_ended(pod)]
        read = {(pod["metadata"]["uid"], one) for pod in over for one in containers(pod)}
    held = Held()
    while True:
        job = cluster.find(target.path(cluster)) if follow else None
        pods = pods_of(cluster, target)
        unread = [
            (pod, one) for pod in pods for one in containers(pod) if (pod["metadata"]["uid"], one) not in read
        ]
        ready = [(pod, one) for pod, one in unread if _has_log(pod, one)]
        for pod, container in ready[:1] if follow else ready:
            yield from _container_lines(cluster, pod, container, follow=follow)
            read.add((pod["metadata"]["uid"], container))
        if not follow:
            return
        if ready:
            continue
        left = [pod for pod in pods if not has_ended(pod)]
        if job is None or (not left and (is_over(job) or paused(job) is not None)):
            return
        if held.lasts(job) and not left:
            return
        if left or is_sweep(job) or not any(map(has_succeeded, pods)):
            on_wait(job, left)
        wait_for_change(cluster, cluster.core("pods"), _WAIT, labelSelector=target.pods)


def text_lines(stream: io.RawIOBase) -> Iterator[str]:
    """Yields the lines of a file that a program in a pod sends. A line that is too long is cut."""
    with io.BufferedReader(stream, 1 << 16) as reader:
        while line := reader.readline(_LONGEST):
            yield line.decode("utf-8", "replace").rstrip("\r\n")


def _has_log(pod: Object, container: str) -> bool:
    state = container_status(pod, container)
    return "running" in state or bool((state.get("terminated") or {}).get("startedAt"))


def _container_lines(cluster: Cluster, pod: Object, container: str, *, follow: bool) -> Iterator[PodLine]:
    """Yields the lines of a container from its start to its end."""
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    cursor = Cursor()
    last = not follow
    while True:
        broken = False
        with cluster.stream(
            cluster.core("pods", f"{name}/log"),
            quiet_for=_QUIET,
            container=container,
            timestamps="true",
            **({} if last else {"follow": "true"}),
            **cursor.begin(),
        ) as (status, response):
            if status in (400, 404):
                return  # It never started, or the pod was deleted with its log.
            if status != 200:
                raise cluster.refusal(status, response.read(1 << 20), cluster.core("pods", f"{name}/log"))
            try:
                for line in lines(response):
                    text = cursor.take(line)
                    if text is not None:
                        yield PodLine(name, container, variant_of(pod), text)
            except BrokenOff:
                broken = True
        if last and not broken:
            return
        if not last:
            now = cluster.find(cluster.core("pods", name))
            if now is None or now["metadata"]["uid"] != uid:
                return
            # Read once more after its end, for lines written after the last one read.
            last = "running" not in container_status(now, container)
        if not last or broken:
            time.sleep(_PAUSE)
