"""Why a job does not run yet, in words: from the conditions of its objects and from their events."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Literal

from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import container_status, containers
from starfreight.jobs.backends.kubernetes.client.refusals import clean
from starfreight.jobs.backends.kubernetes.client.watch import everything
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_QUEUE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

Kind = Literal["queue", "quota", "node", "image", "volume", "policy", "starting"]

IMAGE_REASONS = (
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
)  # fmt: skip

CONTAINER_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

_WORKLOADS = "apis/kueue.x-k8s.io/v1beta1"
_NEWER_WORKLOADS = "apis/kueue.x-k8s.io/v1beta2"


@dataclass(frozen=True)
class Waiting:
    """What a job waits for."""

    kind: Kind
    what: str
    fix: str | None = None

    def __str__(self) -> str:
        """On one line."""
        return f"{self.kind}: {self.what}" if self.kind != "starting" else self.what


def why(cluster: Cluster, job: Object, pods: list[Object]) -> Waiting:
    """What the job waits for, where none of its pods runs.

    Args:
        cluster: the cluster.
        job: the Job.
        pods: those of it that have not ended.
    """
    if (job.get("spec") or {}).get("suspend"):
        return _queue(cluster, job)
    if not pods:
        return _no_pod(_events(cluster, job))
    pod = pods[0]
    return _image(pod) or _unscheduled(pod) or _container(pod) or _volume(cluster, pod)


def _queue(cluster: Cluster, job: Object) -> Waiting:
    queue = (job["metadata"].get("labels") or {}).get(LABEL_QUEUE)
    if not queue:
        return Waiting("queue", "it is suspended", "starfreight jobs resume")
    said = _of_kueue(cluster, job)
    missing = re.search(r"(LocalQueue|ClusterQueue) \S+ (doesn't|does not) exist|is inactive", said)
    return Waiting(
        "queue",
        f"in the queue {queue}{': ' + said if said else ''}",
        "name a queue that there is with --queue; kubectl get localqueues lists them" if missing else None,
    )


def workload(cluster: Cluster, job: Object) -> tuple[str, Object] | None:
    """Kueue's record of a job, and the path of its kind; ``None`` when there is no Kueue.

    Raises:
        ServiceError: it may not be read, or Kueue has not made it yet.
    """
    selector = f"kueue.x-k8s.io/job-uid={job['metadata']['uid']}"
    for group in (_NEWER_WORKLOADS, _WORKLOADS):
        path = cluster.path(group, "workloads")
        try:
            found = everything(cluster, path, labelSelector=selector)
        except InputError:  # Not of this version, or not at all.
            continue
        if found:
            return path, found[0]
        raise ServiceError(
            "Kueue has not taken the job up yet.",
            where=f"job {job['metadata']['name']}, namespace {cluster.namespace}",
            fix="run the same command again in a moment; kubectl get workloads shows what Kueue knows",
        )
    return None


def _of_kueue(cluster: Cluster, job: Object) -> str:
    found = None
    with contextlib.suppress(StarfreightError):  # Without rights to see it, the events say something.
        found = workload(cluster, job)
    if found is None:
        return next(iter(_messages(_events(cluster, job))), "")
    for one in (found[1].get("status") or {}).get("conditions") or ():
        if one.get("type") in ("QuotaReserved", "Admitted") and one.get("status") == "False":
            return clean(one.get("message") or one.get("reason") or "")
    return ""


def _no_pod(events: list[Object]) -> Waiting:
    for said in _messages([one for one in events if one.get("reason") == "FailedCreate"]):
        if "exceeded quota" in said:
            return Waiting(
                "quota",
                f"the namespace's quota is used up: {said}",
                "wait until other jobs have ended, ask for less, or ask an admin for more",
            )
        if "must specify" in said and "quota" in said:
            return Waiting("quota", f"the namespace's quota: {said}", "set run.memory in the recipe")
        return Waiting("policy", f"the cluster refuses the pod: {said}", "ask an admin about that policy")
    return Waiting("starting", "its pod is not made yet")


def _image(pod: Object) -> Waiting | None:
    for name in containers(pod):
        waiting = container_status(pod, name).get("waiting") or {}
        if waiting.get("reason") in IMAGE_REASONS:
            return Waiting(
                "image",
                f"the image of {name} cannot be pulled: {_image_of(pod, name)}: "
                f"{clean(waiting.get('message') or waiting['reason'])}",
                "check run.image, run.kubernetes.image_pull_secrets, and that the nodes reach the registry",
            )
    return None


def _unscheduled(pod: Object) -> Waiting | None:
    for one in (pod.get("status") or {}).get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            said = clean(one.get("message") or one.get("reason") or "")
            if "persistentvolumeclaim" in said.lower():
                return Waiting("volume", said, "check the claims that run.kubernetes names: kubectl get pvc")
            if one.get("reason") == "SchedulingGated":
                return Waiting("queue", f"held back: {said}")
            return Waiting("node", f"no node can take it: {_shortages(said)}", _node_fix(said))
    return None


def _shortages(said: str) -> str:
    """``0/3 nodes are available: 2 Insufficient cpu, 1 node(s) had taint ...`` as the scheduler says it."""
    return said.partition("preemption:")[0].strip().rstrip(".")


def _node_fix(said: str) -> str | None:
    if "Insufficient" in said:
        short = sorted(set(re.findall(r"Insufficient ([A-Za-z0-9./-]+)", said)))
        return (
            f"wait for a node with enough {', '.join(one.rstrip('.') for one in short)}, or ask for less "
            "(run.gpus, run.memory)"
        )
    if "taint" in said:
        return "add the taint to run.kubernetes.tolerations"
    if "didn't match" in said:
        return "check run.kubernetes.node_selector (kubectl get nodes --show-labels)"
    return None


def _container(pod: Object) -> Waiting | None:
    for name in containers(pod):
        waiting = container_status(pod, name).get("waiting") or {}
        if waiting.get("reason") in (
            "CreateContainerConfigError",
            "CreateContainerError",
            "RunContainerError",
        ):
            return Waiting(
                "policy",
                f"the container {name} cannot be made: {clean(waiting.get('message') or waiting['reason'])}",
                "check the image and the secrets that the recipe's run names",
            )
    return None


def _volume(cluster: Cluster, pod: Object) -> Waiting:
    troubles = [
        one
        for one in _events(cluster, pod)
        if one.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
    ]
    for said in _messages(troubles):
        return Waiting("volume", said, "check the claims that run.kubernetes names: kubectl get pvc")
    return Waiting("starting", "its pod is being started")


def _events(cluster: Cluster, one: Object) -> list[Object]:
    """An object's events, the newest last; none where they may not be seen."""
    try:
        found = everything(
            cluster, cluster.core("events"), fieldSelector=f"involvedObject.uid={one['metadata']['uid']}"
        )
    except StarfreightError:
        return []
    return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))


def _messages(events: list[Object]) -> list[str]:
    """What the events say, the newest first."""
    return [clean(one.get("message") or one.get("reason") or "") for one in reversed(events)]


def _image_of(pod: Object, name: str) -> str:
    spec = pod.get("spec") or {}
    for kind in ("initContainers", "containers"):
        for one in spec.get(kind) or ():
            if one.get("name") == name:
                return str(one.get("image"))
    return "?"
