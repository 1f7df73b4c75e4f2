"""Rows for the jobs in a cluster. The progress of an active job is read from the end of its log."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import StarfreightError
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.overview.row import RunRow
from starfreight.jobs.protocol.events import receive

if TYPE_CHECKING:
    from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
    from starfreight.jobs.backends.kubernetes.client.job_status import JobView

_MOST_LOGS = 20
"""Active jobs whose logs are read."""
_LINES = 200
_BYTES = 1 << 20
_PATIENCE = 2.0
"""Seconds to repeat requests to a server that does not answer."""
_SECONDS = 5.0
"""Seconds to wait for a part of a log."""


def is_configured(location: Location) -> bool:
    """True if this machine knows a cluster: a kubeconfig, or the account of a pod."""
    import os
    from pathlib import Path

    if location.context or location.namespace:
        return True
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"
    known = [*files.split(os.pathsep), "/var/run/secrets/kubernetes.io/serviceaccount/namespace"]
    return any(Path(each).expanduser().exists() for each in known if each)


def cluster_rows(location: Location, console: Console) -> list[RunRow]:
    """The jobs of the namespace.

    Raises:
        StarfreightError: the kubeconfig cannot be used, or the server refuses or does not answer.
    """
    from starfreight.jobs.backends.kubernetes.client.connect import connect
    from starfreight.jobs.backends.kubernetes.client.list_jobs import find_jobs

    cluster = connect(console, context=location.context, namespace=location.namespace, patience=_PATIENCE)
    rows, logs = [], 0
    for job in find_jobs(cluster, console):
        row = _row(job, cluster.namespace)
        if row.state == "running" and job.pods == 1 and logs < _MOST_LOGS:
            logs += 1
            with contextlib.suppress(StarfreightError):  # The row without its progress.
                row = _with_progress(cluster, row)
        rows.append(row)
    return rows


def _row(job: JobView, namespace: str) -> RunRow:
    several = job.pods > 1
    return RunRow(
        name=job.name,
        where="kubernetes",
        state="running" if job.status == "active" else job.status,
        started=job.created,
        done=job.done if several else None,
        total=job.pods if several else None,
        unit="variants" if several else "steps",
        namespace=namespace,
    )


def _with_progress(cluster: Cluster, row: RunRow) -> RunRow:
    from starfreight.jobs.backends.kubernetes.client.job_status import container_status, containers
    from starfreight.jobs.backends.kubernetes.client.targets import find_target, pods_of

    target, _ = find_target(cluster, row.name)
    for pod in pods_of(cluster, target):
        for name in containers(pod):
            if "running" in container_status(pod, name):
                path = cluster.core("pods", f"{pod['metadata']['name']}/log")
                # The number of all steps is near the beginning of the log.
                first = _lines(cluster, path, container=name, limitBytes=_BYTES)
                last = _lines(cluster, path, container=name, tailLines=_LINES)
                return progress_in(row, first, last)
    return replace(row, state="waiting")


def _lines(cluster: Cluster, path: str, **query: str | int) -> list[str]:
    with cluster.stream(path, quiet_for=_SECONDS, timestamps="true", **query) as (status, response):
        data = response.read(_BYTES) if status == 200 else b""
    return bytes(data).decode("utf-8", "replace").splitlines()


def progress_in(row: RunRow, first: Iterable[str], last: Iterable[str]) -> RunRow:
    """The row with the progress that a log shows.

    Args:
        row: without progress.
        first: lines from the beginning of the log, each after its time.
        last: lines from its end.
    """
    total = row.total
    for line in first:
        event = receive(line.partition(" ")[2])
        if event is not None and event["event"] == "plan" and not event.get("aside"):
            total = event["steps"]
    steps: list[tuple[datetime.datetime, int]] = []
    loss = row.loss
    for line in last:
        stamp, _, text = line.partition(" ")
        event = receive(text)
        if event is None or event["event"] != "step":
            continue
        with contextlib.suppress(ValueError):
            steps.append((datetime.datetime.fromisoformat(stamp[:19] + "+00:00"), event["step"]))
            loss = event["loss"]
    if not steps:
        return replace(row, total=total)
    (began, first_step), (ended, done) = steps[0], steps[-1]
    left = None
    if total is not None and done > first_step:
        left = max(0, total - done) * (ended - began).total_seconds() / (done - first_step)
    return replace(row, done=done, total=total, loss=loss, seconds_left=left)
