"""Finds a job by its name: a Job, one variant of a sweep, a JobSet or a TrainJob."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import variant_of
from starfreight.jobs.backends.kubernetes.client.watch import list_all
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_RUN
from starfreight.jobs.backends.kubernetes.manifests.templates import Object


@dataclass(frozen=True)
class ObjectKind:
    """A kind of object that holds a job."""

    name: str
    group: str
    """With its version, as in paths: ``apis/batch/v1``."""
    plural: str

    def path(self, cluster: Cluster, name: str = "") -> str:
        """Path of the namespace's objects of this kind, or of the one with a name."""
        return cluster.path(self.group, self.plural, name)


JOB = ObjectKind("Job", "apis/batch/v1", "jobs")
KINDS = (
    JOB,
    ObjectKind("JobSet", "apis/jobset.x-k8s.io/v1alpha2", "jobsets"),
    ObjectKind("TrainJob", "apis/trainer.kubeflow.org/v1alpha1", "trainjobs"),
)


@dataclass(frozen=True)
class Target:
    """A job in the cluster."""

    kind: ObjectKind
    name: str
    variant: int | None = None
    """Number of one variant of an Indexed Job; ``None`` for the whole job."""

    def path(self, cluster: Cluster) -> str:
        """Path of the object."""
        return self.kind.path(cluster, self.name)

    @property
    def pods(self) -> str:
        """Label selector of its pods."""
        return f"job-name={self.name}" if self.kind is JOB else f"{LABEL_RUN}={self.name}"

    @property
    def link(self) -> str:
        """Name of the link to the run's directory, on the volume of the runs."""
        return self.name if self.variant is None else f"{self.name}-{self.variant}"


def object_kind(document: Object) -> ObjectKind | None:
    """The kind of a rendered document; ``None`` for one that is not a job."""
    return next((one for one in KINDS if one.name == document.get("kind")), None)


def pod_templates(job: Object) -> list[Object]:
    """The pod templates of a Job, a JobSet or a TrainJob. ``metadata`` or ``spec`` may be missing."""
    spec = job["spec"]
    for patch in own_patches(job):
        spec = patch["trainingRuntimeSpec"]["template"]["spec"]
    if "replicatedJobs" in spec:
        return [one["template"]["spec"]["template"] for one in spec["replicatedJobs"]]
    return [spec["template"]] if "template" in spec else []


def own_patches(job: Object) -> list[Object]:
    """Starfreight's patches of a TrainJob's pods; others, e.g. Kueue, add patches of their own."""
    patches = job["spec"].get("runtimePatches") or ()
    return [one for one in patches if one.get("manager") == "dev.starfreight/jobs"]


def find_target(cluster: Cluster, name: str) -> tuple[Target, Object]:
    """The job with a name, or the variant of a sweep, e.g. ``NAME-3``.

    Raises:
        InputError: it does not exist, or the name is not valid.
        ServiceError: the server refuses, or does not answer.
    """
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        raise InputError(
            f"{name!r} is not a valid name of a job.",
            where=f"namespace {cluster.namespace}",
            fix="list the jobs: starfreight jobs list --on kubernetes",
        )
    for kind in KINDS:
        found = _find(cluster, kind, name)
        if found is not None:
            return Target(kind, name), found
    whole, _, number = name.rpartition("-")
    if whole and number.isdigit():
        found = cluster.find(cluster.jobs(whole))
        if found is not None and int(number) < int(found["spec"].get("completions") or 1):
            return Target(JOB, whole, int(number)), found
    check_namespace(cluster)
    variants = list_all(cluster, cluster.jobs(), labelSelector=f"{LABEL_RUN}={name}")
    names = sorted((one["metadata"]["name"] for one in variants), key=lambda one: (len(one), one))
    raise InputError(
        f"{name} is a sweep with a Job for each variant." if names else f"The job {name} does not exist.",
        where=f"namespace {cluster.namespace}, context {cluster.context}",
        fix=f"name one of {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        if names
        else "list the jobs: starfreight jobs list --on kubernetes. A job is deleted some time after its end "
        "(run.kubernetes.keep_finished); its run stays on the volume, and the recipe can be submitted again",
    )


def _find(cluster: Cluster, kind: ObjectKind, name: str) -> Object | None:
    path = kind.path(cluster, name)
    if kind is JOB:
        return cluster.find(path)
    try:
        return cluster.find(path)
    except StarfreightError:
        return None  # Most clusters lack this kind, or do not allow users to read it.


def check_namespace(cluster: Cluster) -> None:
    """Checks that the namespace exists: the API answers with an empty list for one that does not.

    Raises:
        InputError: it does not exist.
    """
    path = f"/api/v1/namespaces/{cluster.namespace}"
    try:
        there = cluster.find(path) is not None
    except StarfreightError:
        return  # Most users may not read namespaces.
    if not there:
        raise InputError(
            f"The namespace {cluster.namespace} does not exist.",
            where=f"context {cluster.context}, {cluster.server}",
            fix="name another one with --namespace, or ask an admin to apply kubernetes/base",
        )


def pods_of(cluster: Cluster, target: Target) -> list[Object]:
    """Pods of a job or of one variant, the oldest first."""
    found = list_all(cluster, cluster.core("pods"), labelSelector=target.pods)
    found.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))
    return [pod for pod in found if target.variant is None or variant_of(pod) == target.variant]
