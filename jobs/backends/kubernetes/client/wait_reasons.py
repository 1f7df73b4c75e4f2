"""Reasons why a job is not running yet, from the conditions and events of its objects."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Literal

from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    container_spec,
    container_status,
    containers,
)
from starfreight.jobs.backends.kubernetes.client.refusals import clean
from starfreight.jobs.backends.kubernetes.client.watch import list_all
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_QUEUE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

Kind = Literal["queue", "quota", "node", "image", "volume", "policy", "starting"]

_IMAGE_REASONS = (
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
)  # fmt: skip
_CONTAINER_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_VOLUME_REASONS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")

_CLAIMS_FIX = "check the claims of run.kubernetes: kubectl get pvc"
_POLICY_FIX = "ask an admin about this policy"
_QUOTA_FIX = "wait until other jobs have ended, request less, or ask an admin to raise the quota"

_WORKLOADS = "apis/kueue.x-k8s.io/v1beta1"
_NEWER_WORKLOADS = "apis/kueue.x-k8s.io/v1beta2"


@dataclass(frozen=True)
class WaitReason:
    """The reason for a wait.

    Attributes:
        kind: of the reason.
        what: explanation, shown after "Waiting: ".
        fix: advice to the user, if any.
    """

    kind: Kind
    what: str
    fix: str | None = None

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind}: {self.what}" if self.kind != "starting" else self.what


def wait_reason(cluster: Cluster, job: Object, pods: list[Object]) -> WaitReason:
    """The reason why none of a job's pods is running.

    Args:
        cluster: the cluster.
        job: the job.
        pods: its pods that have not ended.
    """
    if (job.get("spec") or {}).get("suspend"):
        return _queue(cluster, job)
    if not pods:
        return _pod_not_created(_events(cluster, job))
    pod = pods[0]
    return _image(pod) or _unscheduled(pod) or _container(pod) or _volume(cluster, pod)


def _queue(cluster: Cluster, job: Object) -> WaitReason:
    queue = (job["metadata"].get("labels") or {}).get(LABEL_QUEUE)
    if not queue:
        return WaitReason("queue", "it is suspended", "starfreight jobs resume")
    message = _kueue_message(cluster, job)
    missing = re.search(r"(LocalQueue|ClusterQueue) \S+ (doesn't|does not) exist|is inactive", message)
    return WaitReason(
        "queue",
        f"in the queue {queue}{': ' + message if message else ''}",
        "name an existing queue with --queue: kubectl get localqueues lists them" if missing else None,
    )


def workload(cluster: Cluster, job: Object) -> tuple[str, Object] | None:
    """Kueue's Workload of a job, and the path of its kind; ``None`` if the cluster lacks Kueue.

    Raises:
        ServiceError: it may not be read, or Kueue has not created it yet.
    """
    selector = f"kueue.x-k8s.io/job-uid={job['metadata']['uid']}"
    for group in (_NEWER_WORKLOADS, _WORKLOADS):
        path = cluster.path(group, "workloads")
        try:
            found = list_all(cluster, path, labelSelector=selector)
        except InputError:  # Kueue has another version, or is not installed.
            continue
        if found:
            return path, found[0]
        raise ServiceError(
            "Kueue has not created a Workload for the job yet.",
            where=f"job {job['metadata']['name']}, namespace {cluster.namespace}",
            fix="run the same command again in a moment; kubectl get workloads lists the Workloads",
        )
    return None


def _kueue_message(cluster: Cluster, job: Object) -> str:
    found = None
    with contextlib.suppress(StarfreightError):  # Without the right to read it, use the events.
        found = workload(cluster, job)
    if found is None:
        return next(iter(_messages(_events(cluster, job))), "")
    for one in (found[1].get("status") or {}).get("conditions") or ():
        if one.get("type") in ("QuotaReserved", "Admitted") and one.get("status") == "False":
            return clean(one.get("message") or one.get("reason") or "")
    return ""


def _pod_not_created(events: list[Object]) -> WaitReason:
    for message in _messages([one for one in events if one.get("reason") == "FailedCreate"]):
        if "exceeded quota" in message:
            return WaitReason(
                "quota",
                f"the namespace's quota is used up: {message}",
                _QUOTA_FIX,
            )
        if "must specify" in message and "quota" in message:
            return WaitReason("quota", f"the namespace's quota: {message}", "set run.memory in the recipe")
        return WaitReason("policy", f"the cluster refuses the pod: {message}", _POLICY_FIX)
    return WaitReason("starting", "its pod is not created yet")


def _image(pod: Object) -> WaitReason | None:
    for name in containers(pod):
        waiting = container_status(pod, name).get("waiting") or {}
        if waiting.get("reason") in _IMAGE_REASONS:
            return WaitReason(
                "image",
                f"the image of {name} cannot be pulled: {container_spec(pod, name).get('image', '?')}: "
                f"{clean(waiting.get('message') or waiting['reason'])}",
                "check run.image, run.kubernetes.image_pull_secrets, and the nodes' access to the registry",
            )
    return None


def _unscheduled(pod: Object) -> WaitReason | None:
    for one in (pod.get("status") or {}).get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            message = clean(one.get("message") or one.get("reason") or "")
            if "persistentvolumeclaim" in message.lower():
                return WaitReason("volume", message, _CLAIMS_FIX)
            if one.get("reason") == "SchedulingGated":
                return WaitReason("queue", f"held back: {message}")
            return WaitReason("node", f"no node fits: {_shortages(message)}", _node_fix(message))
    return None


def _shortages(message: str) -> str:
    """The scheduler's message, e.g. ``0/3 nodes are available: 2 Insufficient cpu``, without preemption."""
    return message.partition("preemption:")[0].strip().rstrip(".")


def _node_fix(message: str) -> str | None:
    if "Insufficient" in message:
        short = sorted(set(re.findall(r"Insufficient ([A-Za-z0-9./-]+)", message)))
        return (
            f"wait for a node with enough {', '.join(one.rstrip('.') for one in short)}, or request less "
            "(run.gpus, run.memory)"
        )
    if "taint" in message:
        return "add the taint to run.kubernetes.tolerations"
    if "didn't match" in message:
        return "check run.kubernetes.node_selector (kubectl get nodes --show-labels)"
    return None


def _container(pod: Object) -> WaitReason | None:
    for name in containers(pod):
        waiting = container_status(pod, name).get("waiting") or {}
        if waiting.get("reason") in _CONTAINER_REASONS:
            return WaitReason(
                "policy",
                f"the container {name} cannot be created: "
                f"{clean(waiting.get('message') or waiting['reason'])}",
                "check the image and the secrets in the recipe's run",
            )
    return None


def _volume(cluster: Cluster, pod: Object) -> WaitReason:
    failures = [one for one in _events(cluster, pod) if one.get("reason") in _VOLUME_REASONS]
    for message in _messages(failures):
        return WaitReason("volume", message, _CLAIMS_FIX)
    return WaitReason("starting", "its pod is being started")


def _events(cluster: Cluster, one: Object) -> list[Object]:
    """Events of an object, the newest last; none without the right to read them."""
    try:
        found = list_all(
            cluster, cluster.core("events"), fieldSelector=f"involvedObject.uid={one['metadata']['uid']}"
        )
    except StarfreightError:
        return []
    return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))


def _messages(events: list[Object]) -> list[str]:
    """Messages of events, the newest first."""
    return [clean(one.get("message") or one.get("reason") or "") for one in reversed(events)]
