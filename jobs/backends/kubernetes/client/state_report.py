"""Result of ``jobs status`` for a job in a cluster."""

from __future__ import annotations

from typing import Any

from starfreight.console import human_count
from starfreight.jobs.backends.interface import Report
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_age import age
from starfreight.jobs.backends.kubernetes.client.job_status import (
    JobView,
    container_status,
    containers,
    describe_pod,
    end_of,
    has_ended,
    named,
    variant_of,
    view,
)
from starfreight.jobs.backends.kubernetes.client.sick_nodes import fault_in, nodes_to_avoid
from starfreight.jobs.backends.kubernetes.client.suspension import is_suspended_by_others
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of
from starfreight.jobs.backends.kubernetes.client.volume_use import volume_use
from starfreight.jobs.backends.kubernetes.client.wait_reasons import is_waiting, wait_reason
from starfreight.jobs.backends.kubernetes.manifests.templates import Object


def state_report(cluster: Cluster, target: Target, job: Object) -> Report:
    """Reports the state of a job and its pods, and the reason if it is waiting."""
    now = view(job)
    pods = pods_of(cluster, target)
    left = [pod for pod in pods if not has_ended(pod)]
    waits = is_waiting(job, pods)
    waiting = None
    if waits and (now.status in ("active", "queued") or is_suspended_by_others(job)):
        waiting = wait_reason(cluster, job, left)
    word: str = now.status
    if waiting is not None and waiting.kind != "suspended":
        word = "waiting"
    elif now.status == "active":
        word = "running"
    lines = [f"{target.link}: {word}" + (f", {now.what}" if now.what else "")]
    if now.pods > 1:
        lines.append(f"  variants: {now.done} of {now.pods} done{_failed(cluster, target, now)}")
    if waiting is not None:
        lines.append(f"  waiting: {waiting}")
        lines += [f"  next: {waiting.fix}"] if waiting.fix else []
    clock = cluster.now()
    for pod in pods:
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        lines.append(
            f"  {metadata['name']}  {describe_pod(pod)}, on {spec.get('nodeName') or 'no node'}, "
            f"created {age(metadata.get('creationTimestamp'), clock)} ago"
        )
        fault = fault_in(pod)
        if fault is not None and fault.words:
            lines.append(f"    {fault.words}")
    disk = volume_use(cluster, pods)
    if disk is not None:
        lines.append(f"  {'warning: ' if disk.nearly_full else ''}volume of the runs: {disk.in_words()}")
    avoided = nodes_to_avoid((), job)
    if avoided:
        lines.append(f"  avoids: {', '.join(avoided)}, where a GPU failed")
    data: dict[str, Any] = {
        **now.as_dict(),
        "status": word,
        "namespace": cluster.namespace,
        "waiting": waiting and {"kind": waiting.kind, "what": waiting.what, "next": waiting.fix},
        "disk": disk and disk.as_dict(),
        "sick_nodes": nodes_to_avoid(pods, job),
        "pods_now": [_pod_row(pod) for pod in pods],
    }
    return Report(data, "\n".join(lines))


def _failed(cluster: Cluster, target: Target, now: JobView) -> str:
    """Number and names of the failed variants."""
    failed = now.failed_variants
    if not failed:
        return f", {human_count(now.failed, 'pods')} failed"
    log = f"starfreight jobs logs {target.name}-{failed[0]} {cluster.on}"
    return f", {len(failed)} failed: {named(failed)} ({log})"


def _pod_row(pod: Object) -> dict[str, Any]:
    end = end_of(pod)
    steps = {name: next(iter(container_status(pod, name)), "waiting") for name in containers(pod)}
    return {
        "pod": pod["metadata"]["name"],
        "node": (pod.get("spec") or {}).get("nodeName"),
        "variant": variant_of(pod),
        "what": describe_pod(pod),
        "steps": steps,
        "exit_code": end.exit_code if end else None,
        "gpu_fault": fault.words if (fault := fault_in(pod)) else None,
    }
