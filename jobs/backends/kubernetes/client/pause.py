"""Pauses a job: its pods write a checkpoint and end, and the Job stays in the cluster until it is resumed.

- In a queue, Kueue decides whether a Job is suspended, so its Workload is made inactive.
- Otherwise the Job is suspended.
- Servers before 1.22 drop ``suspend``. There, ``parallelism: 0`` ends the pods. Their exit codes count
  against ``backoffLimit``, which is raised in the meantime.

The values to restore are in an annotation of the Job, so any client can resume it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from starfreight.console import Console
from starfreight.errors import InputError, JobStopped, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    PodEnd,
    end_of,
    has_ended,
    is_over,
    paused,
    view,
)
from starfreight.jobs.backends.kubernetes.client.labels import PAUSED
from starfreight.jobs.backends.kubernetes.client.suspension import workload
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target
from starfreight.jobs.backends.kubernetes.client.watch import changes
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_QUEUE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.backends.kubernetes.manifests.versions import parse_version

_SUSPEND = (1, 22)
"""First version with ``spec.suspend`` of Jobs enabled by default."""
_WATCH = 5


def cancel(cluster: Cluster, target: Target, job: Object, console: Console, patience: float) -> str:
    """Stops the pods of a job with a checkpoint, and waits for their end.

    Args:
        cluster: the cluster.
        target: the job.
        job: its object.
        console: shows progress.
        patience: maximum wait in seconds.

    Returns:
        a description of the pods' ends.

    Raises:
        InputError: the job has ended, or is cancelled already.
        ServiceError: the pods have not ended in time, or the server refuses.
    """
    if target.variant is not None:
        raise InputError(
            "One variant of a sweep cannot be cancelled alone.",
            where=target.link,
            fix=f"cancel the sweep: starfreight jobs cancel {target.name} {cluster.on}",
        )
    if is_over(job):
        raise InputError(
            f"The job {target.name} has ended already: {view(job).status}.",
            where=f"namespace {cluster.namespace}",
            fix=f"see starfreight jobs status {target.name} {cluster.on}",
        )
    if paused(job) is None:
        pause(cluster, target, job)
    elif view(job).status == "stopped":
        raise InputError(
            f"The job {target.name} is cancelled already.",
            where=f"namespace {cluster.namespace}",
            fix=f"to resume it: starfreight jobs resume {target.name} {cluster.on}",
        )
    console.note(f"Asked {target.name} to stop; waiting for its checkpoint, at most {patience:.0f} s.")
    return _describe_ends(wait_for_pods(cluster, target, patience))


def pause(cluster: Cluster, target: Target, job: Object) -> None:
    """Makes the cluster end a job's pods but keep the job."""
    spec = job["spec"]
    queued = workload(cluster, job) if (job["metadata"].get("labels") or {}).get(LABEL_QUEUE) else None
    if queued is not None:
        _change(cluster, target, {}, {"active": True})
        try:
            activate(cluster, queued, active=False)
        except StarfreightError:  # The job goes on, so it must not be said to be cancelled.
            _change(cluster, target, {}, None)
            raise
    elif target.kind is not JOB or parse_version(cluster.version()) >= _SUSPEND:
        _change(cluster, target, {"suspend": True}, {"suspend": bool(spec.get("suspend"))})
    else:
        kept = {key: spec.get(key) for key in ("parallelism", "backoffLimit")}
        raised = int(spec.get("backoffLimit") or 0) + int(spec.get("parallelism") or 1) + 6
        _change(cluster, target, {"parallelism": 0, "backoffLimit": raised}, kept)


def unpause(cluster: Cluster, target: Target, job: Object) -> None:
    """Restores the values that :func:`pause` changed.

    Raises:
        ServiceError: the server refuses.
    """
    before = paused(job) or {}
    if "active" in before:
        queued = workload(cluster, job)
        if queued is not None:
            activate(cluster, queued, active=True)
    # Other users may have written the annotation, so only values that a pause changes are restored.
    numbers = {key: before.get(key) for key in ("parallelism", "backoffLimit")}
    restored: Object = {key: value for key, value in numbers.items() if isinstance(value, int)}
    if "suspend" in before:
        restored["suspend"] = False
    _change(cluster, target, restored, None)


def activate(cluster: Cluster, queued: tuple[str, Object], *, active: bool) -> None:
    """Sets whether Kueue may run the job of a Workload.

    Raises:
        ServiceError: the server refuses.
    """
    path, record = queued
    cluster.patch(f"{path}/{record['metadata']['name']}", {"spec": {"active": active}})


def _change(cluster: Cluster, target: Target, spec: Object, before: dict[str, Any] | None) -> None:
    note = None if before is None else json.dumps(before, sort_keys=True)
    change = {"metadata": {"annotations": {PAUSED: note}}, **({"spec": spec} if spec else {})}
    if cluster.patch(target.path(cluster), change) is None:
        raise InputError(
            f"The job {target.name} was deleted in the meantime.",
            where=f"namespace {cluster.namespace}",
            fix="submit its recipe again; it resumes from the last checkpoint",
        )


def wait_for_pods(cluster: Cluster, target: Target, seconds: float) -> list[PodEnd]:
    """Waits at most ``seconds`` until all pods of a job have ended, and returns their ends.

    Raises:
        ServiceError: a pod is still running.
    """
    deadline = time.monotonic() + seconds
    left: set[str] = set()
    ends: dict[str, PodEnd] = {}
    listed = False
    for change in changes(
        cluster,
        cluster.core("pods"),
        until=lambda: time.monotonic() > deadline or (listed and not left),  # noqa: B023
        seconds=_WATCH,
        labelSelector=target.pods,
    ):
        if change is None:
            listed = True
            if not left:
                break
            continue
        name, end = change.object["metadata"]["name"], end_of(change.object)
        # Pods that had ended before are left out. The last state of a deleted pod has its end.
        if end is not None and (listed or not has_ended(change.object)):
            ends[name] = end
        # The exit codes may arrive a moment after the phase; then wait for the deletion of the pod.
        unclear = end is not None and not end.explained and "deletionTimestamp" in change.object["metadata"]
        if change.kind == "DELETED" or (has_ended(change.object) and not unclear):
            left.discard(name)
        else:
            left.add(name)
    if left:
        raise ServiceError(
            f"{', '.join(sorted(left))} is still running. It is not killed.",
            where=f"namespace {cluster.namespace}",
            fix=f"wait: starfreight jobs status {target.name} {cluster.on}; the cluster kills it after "
            "run.kubernetes.checkpoint_grace",
        )
    return list(ends.values())


def _describe_ends(ends: list[PodEnd]) -> str:
    if not ends:
        return "none of its pods was running"
    if all(end.exit_code == JobStopped.exit_code for end in ends):
        return "its checkpoint is written"
    return "; ".join(sorted({end.what for end in ends}))
