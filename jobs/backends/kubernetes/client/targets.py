"""Finds a job by its name: a Job, one variant of a sweep, a JobSet or a TrainJob."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import variant_of
from starfreight.jobs.backends.kubernetes.client.watch import list_all
from starfreight.jobs.backends.kubernetes.manifests.names import ANNOTATION_RESULTS, LABEL_RUN
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.results.address import Place, parse_place


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
JOB_SET = ObjectKind("JobSet", "apis/jobset.x-k8s.io/v1alpha2", "jobsets")
TRAIN_JOB = ObjectKind("TrainJob", "apis/trainer.kubeflow.org/v1alpha1", "trainjobs")
KINDS = (JOB, JOB_SET, TRAIN_JOB)
"""Each may own objects of the kind before it."""


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


def kind_of_job(job: Object) -> ObjectKind:
    """The kind of a job in the cluster. Items of lists do not name it."""
    spec = job.get("spec") or {}
    if "replicatedJobs" in spec:
        return JOB_SET
    return TRAIN_JOB if "runtimeRef" in spec or "trainer" in spec else JOB


def nodes_of(job: Object) -> int:
    """Number of pods that must run at the same time: one, or the nodes of a JobSet or TrainJob."""
    spec = job.get("spec") or {}
    parts = spec.get("replicatedJobs")
    if parts:
        return sum(
            int(one.get("replicas") or 1) * int(one["template"].get("spec", {}).get("parallelism") or 1)
            for one in parts
        )
    return int((spec.get("trainer") or {}).get("numNodes") or 1)


def grace_of(job: Object) -> int:
    """Seconds that the pods of a job have for their checkpoint."""
    given = [one.get("spec", {}).get("terminationGracePeriodSeconds") for one in pod_templates(job)]
    return max((int(one) for one in given if one), default=30)


def pod_templates(job: Object) -> list[Object]:
    """The pod templates of a Job, a JobSet or a TrainJob. ``metadata`` or ``spec`` may be missing."""
    spec = job["spec"]
    for patch in own_patches(job):
        spec = patch["trainingRuntimeSpec"]["template"]["spec"]
    if "replicatedJobs" in spec:
        return [one["template"]["spec"]["template"] for one in spec["replicatedJobs"]]
    return [spec["template"]] if "template" in spec else []


def results_of(job: Object) -> Place | None:
    """The store of a job's results; ``None`` if they are on a volume.

    Raises:
        InputError: the annotation is not a valid address.
    """
    address = (job["metadata"].get("annotations") or {}).get(ANNOTATION_RESULTS)
    return None if address is None else parse_place(str(address))


def own_patches(job: Object) -> list[Object]:
    """Starfreight's patches of a TrainJob's pods; others, e.g. Kueue, add patches of their own."""
    patches = job["spec"].get("runtimePatches") or ()
    return [one for one in patches if one.get("manager") == "dev.starfreight/jobs"]


def is_name(name: str) -> bool:
    """True if a job can have this name."""
    return re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) is not None


def find_target(cluster: Cluster, name: str) -> tuple[Target, Object]:
    """The job with a name, or the variant of a sweep, e.g. ``NAME-3``.

    Raises:
        InputError: it does not exist, or the name is not valid.
        ServiceError: the server refuses, or does not answer.
    """
    if not is_name(name):
        raise InputError(
            f"{name!r} is not a valid name of a job.",
            where=f"namespace {cluster.namespace}",
            fix=f"list the jobs: starfreight jobs list {cluster.on}",
        )
    there = find_job(cluster, name)
    if there is not None:
        return there
    whole, _, number = name.rpartition("-")
    if whole and number.isdigit():
        found = cluster.find(cluster.jobs(whole))
        variants = 0 if found is None or is_owned(found) else int(found["spec"].get("completions") or 1)
        if found is not None and int(number) < variants:
            return Target(JOB, whole, int(number)), found
    check_namespace(cluster)
    names = [str(one["metadata"]["name"]) for one in variant_jobs(cluster, name)]
    raise InputError(
        f"{name} is a sweep with a Job for each variant." if names else f"The job {name} does not exist.",
        where=f"namespace {cluster.namespace}, context {cluster.context}",
        fix=f"name one of {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        if names
        else f"list the jobs: starfreight jobs list {cluster.on}; --namespace NAME chooses a namespace. "
        "A job is deleted some time after its end (run.kubernetes.keep_finished); its run stays on the "
        "volume, and the recipe can be submitted again. "
        "With run.kubernetes.results: starfreight jobs fetch oci://HOST/NAMESPACE/NAME:JOB",
    )


def variant_jobs(cluster: Cluster, sweep: str) -> list[Object]:
    """The Jobs of a sweep that has one for each variant, in the order of the variants.

    Servers before 1.22 have no Indexed Jobs. Empty if there is no such sweep.
    """
    found = list_all(cluster, cluster.jobs(), labelSelector=f"{LABEL_RUN}={sweep}")
    return sorted(found, key=lambda one: (len(one["metadata"]["name"]), one["metadata"]["name"]))


def find_job(cluster: Cluster, name: str) -> tuple[Target, Object] | None:
    """The job with a name, of any kind; for a part of a job, e.g. the Job of a JobSet, the whole job.

    Raises:
        ServiceError: the server refuses, or does not answer.
    """
    for kind in KINDS:
        found = _find(cluster, kind, name)
        if found is not None:
            whole, top = owner_at_the_top(cluster, kind, found)
            return Target(whole, str(top["metadata"]["name"])), top
    return None


def owner_at_the_top(cluster: Cluster, kind: ObjectKind, one: Object) -> tuple[ObjectKind, Object]:
    """The object that owns a Job or a JobSet, or the object itself if none does.

    A controller undoes changes of the objects that it owns: Trainer keeps the JobSet of a TrainJob as the
    TrainJob says, and a JobSet its Jobs.

    Raises:
        ServiceError: the owner may not be read.
    """
    for _ in KINDS:
        owner = _owner(one)
        if owner is None:
            break
        kind_above, name, uid = owner
        found = cluster.find(kind_above.path(cluster, name))
        if found is None or found["metadata"].get("uid") != uid:
            break  # The owner was deleted, and the object follows.
        kind, one = kind_above, found
    return kind, one


def _owner(one: Object) -> tuple[ObjectKind, str, str] | None:
    """Kind, name and uid of the JobSet or TrainJob that owns an object."""
    for owner in one["metadata"].get("ownerReferences") or ():
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        for kind in KINDS[1:]:
            if owner.get("kind") == kind.name and kind.group.startswith(f"apis/{group}/"):
                return kind, str(owner.get("name")), str(owner.get("uid"))
    return None


def is_owned(one: Object) -> bool:
    """True for a part of another job: a Job of a JobSet, or the JobSet of a TrainJob."""
    return _owner(one) is not None


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
            fix="name another one with --namespace, or ask an admin to apply kubernetes/base "
            "(written by: starfreight docs --to DIR)",
        )


def pods_of(cluster: Cluster, target: Target) -> list[Object]:
    """Pods of a job or of one variant, the oldest first."""
    found = list_all(cluster, cluster.core("pods"), labelSelector=target.pods)
    found.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))
    return [pod for pod in found if target.variant is None or variant_of(pod) == target.variant]
