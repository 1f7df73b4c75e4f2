"""The log of one container: each line once, across lost connections."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import container_status, variant_of
from starfreight.jobs.backends.kubernetes.client.watch import BrokenOff, lines
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_QUIET = 120.0
"""Seconds without a line after which the connection is reopened. A step may take long."""
_PAUSE = 1.0
LONGEST = 1 << 20
"""Bytes of a line; a longer one is cut."""


@dataclass(frozen=True)
class PodLine:
    """A line of a container's log; ``variant`` is the number of its pod in a sweep, or of its node."""

    pod: str
    container: str
    variant: int | None
    text: str
    node: str = field(default="", compare=False)
    """Name of the pod's node."""


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
        return text[:LONGEST].decode("utf-8", "replace")


def _second(stamp: str) -> str | None:
    """A timestamp in whole seconds of UTC: ``2026-11-23T22:04:05Z`` for ``2026-11-23T23:04:05.12+01:00``."""
    zone = stamp[-6:] if stamp[-6:-5] in ("+", "-") else "Z"
    try:
        moment = datetime.datetime.fromisoformat(stamp[:19] + zone)
    except ValueError:
        return None
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def has_log(pod: Object, container: str) -> bool:
    """True if a container has begun to write."""
    state = container_status(pod, container)
    return "running" in state or bool((state.get("terminated") or {}).get("startedAt"))


def container_lines(cluster: Cluster, pod: Object, container: str, *, follow: bool) -> Iterator[PodLine]:
    """Yields the lines of a container from its start to its end.

    Args:
        cluster: the cluster.
        pod: the pod.
        container: name of the container.
        follow: wait for more lines while it is running.

    Raises:
        StarfreightError: the server refuses, or does not answer for too long.
    """
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    node = str((pod.get("spec") or {}).get("nodeName") or "")
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
                        yield PodLine(name, container, variant_of(pod), text, node)
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
