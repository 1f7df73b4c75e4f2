"""Deletes a job from the cluster on request. Its runs stay on their volume."""

from __future__ import annotations

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.jobs.backends.interface import Deletion, Report
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import view
from starfreight.jobs.backends.kubernetes.client.recreate import delete
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of, results_of
from starfreight.jobs.backends.kubernetes.manifests.templates import Object


def deletion(cluster: Cluster, target: Target, job: Object, console: Console) -> Deletion:
    """The deletion of a job. Nothing is deleted yet.

    Args:
        cluster: the cluster.
        target: the job.
        job: its object.
        console: shows progress.

    Raises:
        InputError: the target is one variant of a sweep.
    """
    if target.variant is not None:
        raise InputError(
            "One variant of a sweep cannot be deleted alone.",
            where=target.link,
            fix=f"delete the sweep: starfreight jobs delete {target.name} {cluster.on}",
        )
    count = len(pods_of(cluster, target))
    pods = f"its {count} pods with their logs" if count != 1 else "its pod with its log"
    now = view(job)
    running = ". It is not finished: its pods write a checkpoint first" if _runs(now.status) else ""
    what = f"the {target.kind.name} {target.name} ({now.status})"
    deleted = f"{what}, {pods}, and the ConfigMap with its recipe{running}"
    place = results_of(job)
    kept = f"its runs, checkpoints and packages {'on their volume' if place is None else f'in {place}'}"

    def carry_out() -> Report:
        console.note(f"Deleting {target.name}.")
        delete(cluster, target, job)
        return Report(
            {"job": target.name, "namespace": cluster.namespace, "status": "deleted"},
            f"{target.name} is deleted. Kept: {kept}. Submitted again, its recipe continues with them.",
        )

    return Deletion(deleted, kept, carry_out)


def _runs(status: str) -> bool:
    return status not in ("done", "failed", "deleting")
