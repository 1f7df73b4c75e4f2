"""Finds a job in the cluster by its name: a Job, one variant of a sweep, a JobSet or a TrainJob."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import variant_of
from starfreight.jobs.backends.kubernetes.client.watch import everything
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_RUN
from starfreight.jobs.backends.kubernetes.manifests.templates import Object


@dataclass(frozen=True)
class Kind:
    """A kind of object that a job can be."""

    name: str
    group: str
    """With its version, as paths have it."""
    plural: str


JOB = Kind("Job", "apis/batch/v1", "jobs")
KINDS = (
    JOB,
    Kind("JobSet", "apis/jobset.x-k8s.io/v1alpha2", "jobsets"),
    Kind("TrainJob", "apis/trainer.kubeflow.org/v1alpha1", "trainjobs"),
)


@dataclass(frozen=True)
class Target:
    """A job that was found, or that was just made."""

    kind: Kind
    name: str
    variant: int | None = None
    """Of an Indexed Job, where one of them is meant."""

    def path(self, cluster: Cluster) -> str:
        """Of the object."""
        return cluster.path(self.kind.group, self.kind.plural, self.name)

    @property
    def pods(self) -> str:
        """The selector of its pods."""
        return f"job-name={self.name}" if self.kind is JOB else f"{LABEL_RUN}={self.name}"

    @property
    def link(self) -> str:
        """Name of the link to the run's directory, on the volume of the runs."""
        return self.name if self.variant is None else f"{self.name}-{self.variant}"


def kind_of(document: Object) -> Kind | None:
    """The kind of a rendered document, ``None`` for one that is no job."""
    return next((one for one in KINDS if one.name == document.get("kind")), None)


def pod_templates(job: Object) -> list[Object]:
    """The pod templates of a Job, a JobSet or a TrainJob, with what each has of ``metadata`` and ``spec``."""
    spec = job["spec"]
    for patch in own_patches(job):
        spec = patch["trainingRuntimeSpec"]["template"]["spec"]
    if "replicatedJobs" in spec:
        return [one["template"]["spec"]["template"] for one in spec["replicatedJobs"]]
    return [spec["template"]] if "template" in spec else []


def own_patches(job: Object) -> list[Object]:
    """What a TrainJob says of its pods; others, such as Kueue, write patches there too."""
    patches = job["spec"].get("runtimePatches") or ()
    return [one for one in patches if one.get("manager") == "dev.starfreight/jobs"]


def find_target(cluster: Cluster, name: str) -> tuple[Target, Object]:
    """The job of that name, or the variant that ``NAME-3`` means.

    Raises:
        InputError: there is none, or the name is none.
        ServiceError: the server refuses, or does not answer.
    """
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        raise InputError(
            f"{name!r} is no job's name.",
            where=f"namespace {cluster.namespace}",
            fix="see `starfreight jobs list --on kubernetes`",
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
    variants = everything(cluster, cluster.jobs(), labelSelector=f"{LABEL_RUN}={name}")
    names = sorted((one["metadata"]["name"] for one in variants), key=lambda one: (len(one), one))
    raise InputError(
        f"{name} is a sweep whose variants are Jobs of their own." if names else f"There is no job {name}.",
        where=f"namespace {cluster.namespace}, context {cluster.context}",
        fix=f"name one of {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        if names
        else "see `starfreight jobs list --on kubernetes`; a job leaves the cluster some time after its end "
        "(run.kubernetes.keep_finished), its run stays on its volume, and the recipe can be submitted again",
    )


def _find(cluster: Cluster, kind: Kind, name: str) -> Object | None:
    path = cluster.path(kind.group, kind.plural, name)
    if kind is JOB:
        return cluster.find(path)
    try:
        return cluster.find(path)
    except StarfreightError:
        return None  # Most clusters have no such kind, or show it to nobody.


def check_namespace(cluster: Cluster) -> None:
    """Looks whether the namespace exists, since a list of one that does not is empty and no error.

    Raises:
        InputError: it does not.
    """
    path = f"/api/v1/namespaces/{cluster.namespace}"
    try:
        there = cluster.find(path) is not None
    except StarfreightError:
        return  # Who may not look at namespaces cannot be told.
    if not there:
        raise InputError(
            f"There is no namespace {cluster.namespace}.",
            where=f"context {cluster.context}, {cluster.server}",
            fix="name another one with --namespace, or have an admin apply kubernetes/base",
        )


def pods_of(cluster: Cluster, target: Target) -> list[Object]:
    """A job's pods, the oldest first, or those of one variant of its sweep."""
    found = everything(cluster, cluster.core("pods"), labelSelector=target.pods)
    found.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))
    return [pod for pod in found if target.variant is None or variant_of(pod) == target.variant]
