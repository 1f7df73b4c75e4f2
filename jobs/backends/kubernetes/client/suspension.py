"""Why a job is suspended, and by whom: its queue, a cancel, or somebody else."""

from __future__ import annotations

import contextlib
import re
import time

from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import paused
from starfreight.jobs.backends.kubernetes.client.refusals import clean
from starfreight.jobs.backends.kubernetes.client.wait_reason import REPLACE, WaitReason
from starfreight.jobs.backends.kubernetes.client.warning_events import events_of, message_of
from starfreight.jobs.backends.kubernetes.client.watch import list_all
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_QUEUE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_WORKLOADS = "apis/kueue.x-k8s.io/v1beta1"
_NEWER_WORKLOADS = "apis/kueue.x-k8s.io/v1beta2"
_HELD = 30.0
"""Seconds after which a suspension by others is taken to last."""
_CLIENT = "OpenAPI-Generator"
"""Name under which the server records changes by this program."""


def workload(cluster: Cluster, job: Object) -> tuple[str, Object] | None:
    """Kueue's Workload of a job, and the path of its kind; ``None`` if the cluster lacks Kueue.

    Raises:
        ServiceError: it may not be read, or Kueue has not created it yet.
    """
    selector = f"kueue.x-k8s.io/job-uid={job['metadata']['uid']}"
    for group in (_NEWER_WORKLOADS, _WORKLOADS):
        path = cluster.path(group, "workloads")
        try:
            found = list_all(cluster, path, labelSelector=selector)
        except InputError:  # Kueue has another version, or is not installed.
            continue
        if found:
            return path, found[0]
        raise ServiceError(
            "Kueue has not created a Workload for the job yet.",
            where=f"job {job['metadata']['name']}, namespace {cluster.namespace}",
            fix="run the same command again in a moment; kubectl get workloads lists the Workloads",
        )
    return None


def known_workload(cluster: Cluster, job: Object) -> tuple[str, Object] | None:
    """The same; ``None`` also if it may not be read or does not exist yet."""
    with contextlib.suppress(StarfreightError):
        return workload(cluster, job)
    return None


def _may_have_kueue(cluster: Cluster, job: Object) -> bool:
    try:
        return workload(cluster, job) is not None
    except StarfreightError:
        return True  # It may not be read, or does not exist yet.


class Held:
    """Tells a job that is held from one that is suspended for a moment, e.g. until Kueue has seen it."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lasts(self, job: Object) -> bool:
        """True once the job has been suspended by others for some time. Called again and again."""
        if not is_suspended_by_others(job):
            self._since = None
            return False
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since > _HELD


def is_suspended_by_others(job: Object) -> bool:
    """True if a job is suspended, but neither by ``jobs cancel`` nor in a queue that it names."""
    labels = job["metadata"].get("labels") or {}
    suspended = bool((job.get("spec") or {}).get("suspend"))
    return suspended and paused(job) is None and not labels.get(LABEL_QUEUE)


def suspended_by(one: Object, key: str = "suspend") -> str | None:
    """The program that last set a key of an object's ``spec``, and when; ``None`` if it is not recorded."""
    for entry in one["metadata"].get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        if f"f:{key}" in (fields.get("f:spec") or {}):
            manager, when = clean(entry.get("manager") or ""), clean(entry.get("time") or "")
            if manager and manager != _CLIENT:
                return f"{manager}, at {when}" if when else manager
    return None


def suspension(cluster: Cluster, job: Object) -> WaitReason:
    """The reason for which a job is suspended, with the way out."""
    name = job["metadata"]["name"]
    queue = (job["metadata"].get("labels") or {}).get(LABEL_QUEUE)
    found = known_workload(cluster, job)
    if found is not None and found[1].get("spec", {}).get("active") is False and paused(job) is None:
        return _inactive(cluster, name, found[1])
    if queue and (found is not None or _may_have_kueue(cluster, job)):
        return _in_queue(queue, _queue_message(cluster, job, found))
    if found is not None:
        return WaitReason(
            "queue",
            "Kueue holds it: jobs without a queue do not start in this cluster",
            f"name a queue (kubectl get localqueues lists them): --queue NAME, and {REPLACE}",
        )
    who = suspended_by(job)
    return WaitReason(
        "suspended",
        f"it was suspended by {who or 'somebody else than starfreight jobs cancel'}",
        f"ask them why, or start it: starfreight jobs resume {name} {cluster.on}",
    )


def _inactive(cluster: Cluster, name: str, record: Object) -> WaitReason:
    who = suspended_by(record, "active")
    evicted = _condition(record, "Evicted", "True")
    why = clean(evicted.get("message") or "") if evicted else ""
    return WaitReason(
        "suspended",
        f"its Workload in Kueue was made inactive{f' by {who}' if who else ''}{f': {why}' if why else ''}",
        f"ask an admin why, or start it: starfreight jobs resume {name} {cluster.on}",
    )


def _in_queue(queue: str, message: str) -> WaitReason:
    missing = re.search(r"(LocalQueue|ClusterQueue) \S+ (doesn't|does not) exist|is inactive", message)
    return WaitReason(
        "queue",
        f"in the queue {queue}{': ' + message if message else ''}",
        f"name an existing queue with --queue (kubectl get localqueues lists them), and {REPLACE}"
        if missing
        else None,
    )


def _queue_message(cluster: Cluster, job: Object, found: tuple[str, Object] | None) -> str:
    if found is None:  # Without the right to read the Workload, use the events.
        return next((message_of(one) for one in events_of(cluster, job)), "")
    for kind in ("QuotaReserved", "Admitted"):
        held = _condition(found[1], kind, "False")
        if held:
            return clean(held.get("message") or held.get("reason") or "")
    return ""


def _condition(record: Object, kind: str, value: str) -> Object:
    for one in (record.get("status") or {}).get("conditions") or ():
        if one.get("type") == kind and one.get("status") == value:
            return dict(one)
    return {}
