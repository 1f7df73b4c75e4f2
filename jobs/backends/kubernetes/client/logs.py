"""What a job's pods have written, each line once, across new pods and lost connections."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    container_status,
    containers,
    has_ended,
    is_over,
    paused,
    variant_of,
)
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of
from starfreight.jobs.backends.kubernetes.client.watch import BrokenOff, lines, wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_QUIET = 120.0
"""Seconds without a line after which the connection is made anew: a step may take long."""
_PAUSE = 1.0
_WAIT = 5
"""Seconds after which the job is looked at again although none of its pods has changed."""
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Line:
    """A line of a container's log."""

    pod: str
    container: str
    variant: int | None
    text: str


class Cursor:
    """How far a container's log was read.

    The API reads on from a whole second, by the times that the kubelet wrote before the lines, and gives the
    lines of that second once more, in the same order. So what is kept is that second and how many lines of it
    and after it were seen. Times need not be in order: two streams of one container may be a little apart.
    """

    def __init__(self) -> None:
        self._second = ""
        self._seen = 0
        self._skip = 0

    def begin(self) -> dict[str, str]:
        """Where to read on, as a parameter of the API; what comes again is skipped from here on."""
        self._skip = self._seen
        return {"sinceTime": self._second} if self._second else {}

    def take(self, line: bytes) -> str | None:
        """The text of a line, or ``None`` when it was seen before."""
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
    """``2026-11-23T22:04:05Z`` of ``2026-11-23T23:04:05.123456789+01:00``."""
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
    waiting: Callable[[Object, list[Object]], None] = lambda job, pods: None,
    fresh: bool = False,
) -> Iterator[Line]:
    """The lines of all the job's pods, in the order in which they were made.

    Args:
        cluster: the cluster.
        target: the job, or one variant of it.
        follow: wait for more until the job has ended or is stopped.
        waiting: is told now and then of the job and its pods while none of them runs.
        fresh: leave out the pods that have ended already.

    Raises:
        StarfreightError: the server refuses, or does not answer for too long.
    """
    read: set[tuple[str, str]] = set()
    if fresh:
        over = [pod for pod in pods_of(cluster, target) if has_ended(pod)]
        read = {(pod["metadata"]["uid"], one) for pod in over for one in containers(pod)}
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
        waiting(job, left)
        wait_for_change(cluster, cluster.core("pods"), _WAIT, labelSelector=target.pods)


def _has_log(pod: Object, container: str) -> bool:
    state = container_status(pod, container)
    return "running" in state or bool((state.get("terminated") or {}).get("startedAt"))


def _container_lines(cluster: Cluster, pod: Object, container: str, *, follow: bool) -> Iterator[Line]:
    """A container's lines from its beginning to its end."""
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
                return  # It never started, or the pod was deleted and its log with it.
            if status != 200:
                raise cluster.refusal(status, response.read(1 << 20), cluster.core("pods", f"{name}/log"))
            try:
                for line in lines(response):
                    text = cursor.take(line)
                    if text is not None:
                        yield Line(name, container, variant_of(pod), text)
            except BrokenOff:
                broken = True
        if last and not broken:
            return
        if not last:
            now = cluster.find(cluster.core("pods", name))
            if now is None or now["metadata"]["uid"] != uid:
                return
            # Once more when it has ended, for what was written after the last line that was read.
            last = "running" not in container_status(now, container)
        if not last or broken:
            time.sleep(_PAUSE)
