"""How full the volume of a job's runs is, as its pod has reported at the start of its log."""

from __future__ import annotations

from starfreight.errors import StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import container_status, containers
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.disk import DiskUse
from starfreight.jobs.kinds.table import KINDS
from starfreight.jobs.protocol.events import receive

_HEAD = 1 << 18
"""Bytes of a log that are read: what comes before is the preparation of the data."""
_QUIET = 10.0


def volume_use(cluster: Cluster, pods: list[Object]) -> DiskUse | None:
    """The report of the newest pod that has started; ``None`` without one, or if its log cannot be read."""
    for pod in reversed(pods):
        for name in containers(pod):
            state = container_status(pod, name)
            if name in (*KINDS, "node") and ("running" in state or "terminated" in state):
                try:
                    return _read(cluster, str(pod["metadata"]["name"]), name)
                except StarfreightError:
                    return None
    return None


def _read(cluster: Cluster, pod: str, container: str) -> DiskUse | None:
    path = cluster.core("pods", f"{pod}/log")
    with cluster.stream(path, quiet_for=_QUIET, container=container, limitBytes=_HEAD) as (status, response):
        if status != 200:
            return None
        try:
            text = response.read(_HEAD).decode("utf-8", "replace")
        except Exception as error:  # The connection was lost: of any of the client's libraries.
            raise StarfreightError("The log cannot be read.") from error
    for line in reversed(text.splitlines()):
        event = receive(line)
        if event is not None and event["event"] == "disk":
            return DiskUse(event["total"], min(event["free"], event["total"]))
    return None
