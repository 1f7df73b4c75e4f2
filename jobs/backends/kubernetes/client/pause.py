"""``cancel`` and ``resume``: a job's pods end with a checkpoint, the Job stays, and goes on later from there.

What pauses a job depends on who owns that switch. A Job in a Kueue queue is Kueue's to suspend, so its
Workload is made inactive. Otherwise the Job is suspended. A server before 1.22 drops ``suspend``;
``parallelism: 0`` ends the pods there just so. Their exit codes then count against ``backoffLimit``, which is
raised for that time. What has to be put back is kept on the Job in an annotation, so any client can do it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from starfreight.console import Console
from starfreight.errors import InputError, JobStopped, ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    End,
    end_of,
    has_ended,
    is_over,
    paused,
    view,
)
from starfreight.jobs.backends.kubernetes.client.labels import PAUSED
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target
from starfreight.jobs.backends.kubernetes.client.wait_reasons import workload
from starfreight.jobs.backends.kubernetes.client.watch import changes
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_QUEUE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.backends.kubernetes.manifests.versions import parse_version

_SUSPEND = (1, 22)
"""The first version that has ``spec.suspend`` of Jobs switched on."""
_LOOK = 5


def cancel(cluster: Cluster, target: Target, job: Object, console: Console, patience: float) -> str:
    """Asks a job's pods to stop, and waits until they have.

    Args:
        cluster: the cluster.
        target: the job.
        job: its object.
        console: says what is waited for.
        patience: seconds to wait.

    Returns:
        how its pods ended, in words.

    Raises:
        InputError: it has ended, or was cancelled before.
        ServiceError: the pods have not ended in that time, or the server refuses.
    """
    if target.variant is not None:
        raise InputError(
            "One variant of a sweep cannot be cancelled alone.",
            where=target.link,
            fix=f"cancel all of it: starfreight jobs cancel {target.name} --on kubernetes",
        )
    if is_over(job):
        raise InputError(
            f"The job {target.name} has ended already: {view(job).status}.",
            where=f"namespace {cluster.namespace}",
            fix=f"starfreight jobs status {target.name} --on kubernetes",
        )
    if paused(job) is None:
        pause(cluster, target, job)
    elif view(job).status == "stopped":
        raise InputError(
            f"The job {target.name} is cancelled already.",
            where=f"namespace {cluster.namespace}",
            fix=f"starfreight jobs resume {target.name} --on kubernetes",
        )
    console.note(f"Asked {target.name} to stop; waiting for its checkpoint, {patience:.0f} seconds at most.")
    return _in_words(wait_for_pods(cluster, target, patience))


def pause(cluster: Cluster, target: Target, job: Object) -> None:
    """Writes what ends the pods and keeps the Job."""
    spec = job["spec"]
    queued = workload(cluster, job) if (job["metadata"].get("labels") or {}).get(LABEL_QUEUE) else None
    if queued is not None:
        _change(cluster, target, {}, {"active": True})
        path, record = queued
        cluster.patch(f"{path}/{record['metadata']['name']}", {"spec": {"active": False}})
    elif target.kind is not JOB or parse_version(cluster.version()) >= _SUSPEND:
        _change(cluster, target, {"suspend": True}, {"suspend": bool(spec.get("suspend"))})
    else:
        kept = {key: spec.get(key) for key in ("parallelism", "backoffLimit")}
        raised = int(spec.get("backoffLimit") or 0) + int(spec.get("parallelism") or 1) + 6
        _change(cluster, target, {"parallelism": 0, "backoffLimit": raised}, kept)


def unpause(cluster: Cluster, target: Target, job: Object) -> None:
    """Puts back what :func:`pause` changed.

    Raises:
        ServiceError: the server refuses.
    """
    before = paused(job) or {}
    if "active" in before:
        queued = workload(cluster, job)
        if queued is not None:
            path, record = queued
            cluster.patch(f"{path}/{record['metadata']['name']}", {"spec": {"active": True}})
    # Only what a pause may have changed, whoever wrote the annotation.
    numbers = {key: before.get(key) for key in ("parallelism", "backoffLimit")}
    put_back: Object = {key: value for key, value in numbers.items() if isinstance(value, int)}
    if "suspend" in before:
        put_back["suspend"] = False
    _change(cluster, target, put_back, None)


def _change(cluster: Cluster, target: Target, spec: Object, before: dict[str, Any] | None) -> None:
    note = None if before is None else json.dumps(before, sort_keys=True)
    change = {"metadata": {"annotations": {PAUSED: note}}, **({"spec": spec} if spec else {})}
    if cluster.patch(target.path(cluster), change) is None:
        raise InputError(
            f"The job {target.name} was deleted in the meantime.",
            where=f"namespace {cluster.namespace}",
            fix="submit its recipe again; it goes on from its checkpoint",
        )


def wait_for_pods(cluster: Cluster, target: Target, seconds: float) -> list[End]:
    """Waits until no pod of a job runs, and says how each of them ended.

    Raises:
        ServiceError: that took longer.
    """
    deadline = time.monotonic() + seconds
    left: set[str] = set()
    ends: dict[str, End] = {}
    listed = False
    for change in changes(
        cluster,
        cluster.core("pods"),
        until=lambda: time.monotonic() > deadline or (listed and not left),  # noqa: B023
        seconds=_LOOK,
        labelSelector=target.pods,
    ):
        if change is None:
            listed = True
            if not left:
                break
            continue
        name, end = change.object["metadata"]["name"], end_of(change.object)
        # A pod that had ended before tells nothing of this stop, and a deleted one's last state its end.
        if end is not None and (listed or not has_ended(change.object)):
            ends[name] = end
        # The ends of its containers may come a moment after its phase; then its deletion is waited for.
        unclear = end is not None and not end.explained and "deletionTimestamp" in change.object["metadata"]
        if change.kind == "DELETED" or (has_ended(change.object) and not unclear):
            left.discard(name)
        else:
            left.add(name)
    if left:
        raise ServiceError(
            f"{', '.join(sorted(left))} still runs; it is not killed by this command.",
            where=f"namespace {cluster.namespace}",
            fix=f"wait: starfreight jobs status {target.name} --on kubernetes. The cluster kills it when "
            "run.kubernetes.checkpoint_grace is over",
        )
    return list(ends.values())


def _in_words(ends: list[End]) -> str:
    if not ends:
        return "none of its pods ran"
    if all(end.exit_code == JobStopped.exit_code for end in ends):
        return "its checkpoint is written"
    return "; ".join(sorted({end.what for end in ends}))
