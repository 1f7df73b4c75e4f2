"""The objects that a job owns, from the job down: TrainJob, JobSet, Jobs. Their pods have the job's label."""

from __future__ import annotations

import contextlib

from starfreight.errors import StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.targets import (
    JOB,
    JOB_SET,
    TRAIN_JOB,
    ObjectKind,
    kind_of_job,
)
from starfreight.jobs.backends.kubernetes.client.watch import list_all
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_LABEL_JOB_SET = "jobset.sigs.k8s.io/jobset-name"
"""Label on the Jobs and pods of a JobSet."""


def owned_objects(cluster: Cluster, job: Object) -> list[Object]:
    """A job and the JobSets and Jobs below it, the job first.

    Objects that the user may not read are left out.
    """
    found = [job]
    kind = kind_of_job(job)
    level = [job]
    while kind is not JOB and level:
        level = [below for one in level for below in _below(cluster, kind, one)]
        kind = JOB_SET if kind is TRAIN_JOB else JOB
        found += level
    return found


def _below(cluster: Cluster, kind: ObjectKind, one: Object) -> list[Object]:
    name, uid = one["metadata"]["name"], one["metadata"].get("uid")
    found: list[Object] = []
    with contextlib.suppress(StarfreightError):
        if kind is TRAIN_JOB:  # Trainer gives its JobSet the same name, and no label of the TrainJob.
            job_set = cluster.find(JOB_SET.path(cluster, name))
            found = [] if job_set is None else [job_set]
        else:
            found = list_all(cluster, cluster.jobs(), labelSelector=f"{_LABEL_JOB_SET}={name}")
    return [each for each in found if any(owner.get("uid") == uid for owner in _owners(each))]


def _owners(one: Object) -> list[Object]:
    return list(one["metadata"].get("ownerReferences") or ())
