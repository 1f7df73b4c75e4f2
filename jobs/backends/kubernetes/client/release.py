"""Resumes a job that somebody else has suspended: a person, a controller, or Kueue."""

from __future__ import annotations

import time

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.pause import activate
from starfreight.jobs.backends.kubernetes.client.suspension import known_workload, suspended_by, suspension
from starfreight.jobs.backends.kubernetes.client.targets import Target
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_SETTLE = 2.0
"""Seconds within which a controller that holds the job suspends it again."""


def release(cluster: Cluster, target: Target, job: Object, console: Console) -> bool:
    """Starts a suspended job, and says who had suspended it. A job in a queue is left to the queue.

    Returns:
        true if the job has been started, false if it waits for its queue.

    Raises:
        ServiceError: Kueue holds the job for another reason, or somebody suspends it again at once.
    """
    queued = known_workload(cluster, job)
    reason = suspension(cluster, job)
    where = f"job {target.name}, namespace {cluster.namespace}"
    if reason.kind == "queue":
        if reason.fix:
            raise ServiceError(f"The job cannot be resumed: {reason.what}.", where=where, fix=reason.fix)
        console.note(f"{target.name} is {reason.what}. Kueue starts it when its turn comes.")
        return False
    if queued is not None and queued[1].get("spec", {}).get("active") is False:
        activate(cluster, queued, active=True)
        console.note(f"{target.name}: {reason.what}. It is active again and waits for its turn.")
        return True
    cluster.patch(target.path(cluster), {"spec": {"suspend": False}})
    again = _suspended_again(cluster, target)
    if again is not None:
        who = suspended_by(again)
        raise ServiceError(
            f"The job stays suspended: suspended again at once by {who or 'somebody else'}.",
            where=where,
            fix="ask an admin of the cluster why; kubectl get "
            f"{target.kind.plural} {target.name} -o yaml --show-managed-fields shows who changed it",
        )
    console.note(f"{target.name}: {reason.what}. It is resumed.")
    return True


def _suspended_again(cluster: Cluster, target: Target) -> Object | None:
    """The job if it is suspended again; ``None`` if it stays as it is."""
    end = time.monotonic() + _SETTLE
    while True:
        job = cluster.find(target.path(cluster))
        if job is not None and job["spec"].get("suspend"):
            return job
        if job is None or time.monotonic() > end:
            return None
        time.sleep(_SETTLE / 4)
