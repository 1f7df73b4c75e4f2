"""The end of a sweep: which variants failed, and the error that a follower of the sweep ends with."""

from __future__ import annotations

from starfreight.console import human_count
from starfreight.errors import JobFailed, StarfreightError
from starfreight.jobs.backends.endings import error_class
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import PodEnd, end_of, named, variant_of
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of


def sweep_error(cluster: Cluster, target: Target, failed: set[int], total: int) -> StarfreightError:
    """The error for a sweep whose variants failed: of the variants' exit code, if it is the same for all.

    Args:
        cluster: the cluster.
        target: the sweep.
        failed: numbers of the variants that failed for good.
        total: number of all variants.
    """
    ends = _last_ends(cluster, target, failed)
    codes = {end.exit_code for end in ends.values()}
    kind = error_class(codes.pop()) if len(codes) == 1 else JobFailed
    reasons = sorted({end.what for end in ends.values()})
    why = f" It {reasons[0]}." if len(ends) == 1 else f" They {'; '.join(reasons)}." if reasons else ""
    return kind(
        f"{len(failed)} of {human_count(total, 'variants')} failed: {named(failed)}.{why}",
        where=f"{target.name}, namespace {cluster.namespace}",
        fix=f"starfreight jobs logs {target.name}-{min(failed)} {cluster.on}",
    )


def _last_ends(cluster: Cluster, target: Target, failed: set[int]) -> dict[int, PodEnd]:
    """The last failure of each variant whose pods are still there."""
    found: dict[int, PodEnd] = {}
    for pod in pods_of(cluster, target):
        variant, end = variant_of(pod), end_of(pod)
        if variant in failed and end is not None and end.exit_code != 0:
            found[variant] = end
    return found
