"""Lists the jobs of a namespace: Jobs, JobSets and TrainJobs.

Lists are read page by page, and each page is dropped once its rows are made. Modules needed only to submit
jobs are not imported.
"""

from __future__ import annotations

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.jobs.backends.interface import Report
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_age import age
from starfreight.jobs.backends.kubernetes.client.job_status import JobView, view
from starfreight.jobs.backends.kubernetes.client.labels import SELECTOR
from starfreight.jobs.backends.kubernetes.client.targets import (
    JOB,
    KINDS,
    ObjectKind,
    check_namespace,
    is_owned,
)
from starfreight.jobs.backends.kubernetes.client.watch import pages


def list_jobs(cluster: Cluster, console: Console) -> Report:
    """A table of the jobs of the namespace, the newest last."""
    found = find_jobs(cluster, console)
    now = cluster.now()
    width = max((len(one.name) for one in found), default=0)
    lines = [f"{'JOB':{width}}  {'STATUS':8}  {'PODS':7}  {'AGE':>9}"] if found else []
    for one in found:
        share = f"{one.done}/{one.pods}" if one.pods > 1 else ""
        what = f"  {one.what}" if one.what else ""
        lines.append(
            f"{one.name:{width}}  {one.status:8}  {share:7}  {age(one.created, now):>9}{what}".rstrip()
        )
    return Report(
        {"jobs": [one.as_dict() for one in found]},
        "\n".join(lines) or f"No jobs in the namespace {cluster.namespace}.",
    )


def find_jobs(cluster: Cluster, console: Console) -> list[JobView]:
    """The jobs of the namespace, the newest last.

    Raises:
        InputError: the namespace does not exist.
        ServiceError: the server refuses, or does not answer.
    """
    found = [job for kind in KINDS for job in _jobs_of_kind(cluster, kind, console)]
    if not found:
        check_namespace(cluster)
    return sorted(found, key=lambda one: (one.created or "", one.name))


def _jobs_of_kind(cluster: Cluster, kind: ObjectKind, console: Console) -> list[JobView]:
    try:
        found = pages(cluster, kind.path(cluster), {"labelSelector": SELECTOR})
        return [view(job) for page, _ in found for job in page if not is_owned(job)]
    except InputError:
        if kind is JOB:
            raise
        return []  # Most clusters lack this kind.
    except ServiceError as error:
        if kind is JOB:
            raise
        console.note(f"{kind.name}s are not listed: {error.what}")
        return []
