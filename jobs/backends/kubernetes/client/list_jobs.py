"""``starfreight jobs list --on kubernetes``: the jobs of a namespace, a page at a time.

A page is forgotten when its lines are made, and nothing is loaded that only submitting needs.
"""

from __future__ import annotations

from starfreight.console import Console
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import age, view
from starfreight.jobs.backends.kubernetes.client.labels import SELECTOR
from starfreight.jobs.backends.kubernetes.client.targets import check_namespace
from starfreight.jobs.backends.kubernetes.client.watch import pages


def list_jobs(cluster: Cluster, console: Console) -> None:
    """A line for each job of the namespace, the newest last."""
    found = [
        view(job) for page, _ in pages(cluster, cluster.jobs(), {"labelSelector": SELECTOR}) for job in page
    ]
    if not found:
        check_namespace(cluster)
    found.sort(key=lambda one: (one.created or "", one.name))
    now = cluster.now()
    width = max((len(one.name) for one in found), default=0)
    lines = []
    for one in found:
        share = f"{one.done}/{one.pods}" if one.pods > 1 else ""
        what = f"  {one.what}" if one.what else ""
        lines.append(
            f"{one.name:{width}}  {one.status:8}  {share:7}  {age(one.created, now):>4}{what}".rstrip()
        )
    console.result(
        {"jobs": [one.as_dict() for one in found]},
        "\n".join(lines) or f"No jobs in the namespace {cluster.namespace}.",
    )
