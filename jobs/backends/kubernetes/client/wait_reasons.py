"""Reasons why a job is not running yet, from the conditions and events of its objects."""

from __future__ import annotations

import re

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    container_spec,
    container_status,
    containers,
    has_succeeded,
    is_sweep,
    is_working,
)
from starfreight.jobs.backends.kubernetes.client.owned_objects import owned_objects
from starfreight.jobs.backends.kubernetes.client.refusals import clean
from starfreight.jobs.backends.kubernetes.client.suspension import suspension
from starfreight.jobs.backends.kubernetes.client.targets import nodes_of
from starfreight.jobs.backends.kubernetes.client.wait_reason import REPLACE, WaitReason
from starfreight.jobs.backends.kubernetes.client.warning_events import WarningEvent, warnings_of
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_IMAGE_REASONS = (
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
)  # fmt: skip
_CONTAINER_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_VOLUME_REASONS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
_CREATE_REASONS = re.compile(r"FailedCreate|\w*Creation\w*Fail\w*|\w*Fail\w*Creation\w*")
"""Reasons of a Job without pods, and of a JobSet or TrainJob without Jobs."""

_MOST_PODS = 3
"""Waiting pods whose events are read: those of the others say the same."""

_CLAIMS_FIX = f"check the claims of run.kubernetes: kubectl get pvc. To change them, {REPLACE}"
_POLICY_FIX = f"ask an admin about this policy, or change the value that it names and {REPLACE}"
_NO_ACCOUNT = re.compile(r'serviceaccount "[^"]*" not found')
_ACCOUNT_FIX = (
    "delete this job and name the namespace that is set up for jobs with --namespace, or ask an admin to "
    "apply kubernetes/base (written by: starfreight docs --to DIR) to this one"
)
_QUOTA_FIX = (
    "wait until other jobs have ended, ask an admin to raise the quota, or request less "
    f"(run.gpus, run.memory) and {REPLACE}"
)


def wait_reason(cluster: Cluster, job: Object, pods: list[Object]) -> WaitReason:
    """The reason why some or all of a job's pods are not running.

    Args:
        cluster: the cluster.
        job: the job.
        pods: its pods that have not ended.
    """
    if (job.get("spec") or {}).get("suspend"):
        return suspension(cluster, job)
    waiting = [pod for pod in pods if not is_working(pod)]
    for pod in waiting:
        found = _image(pod) or _unscheduled(pod) or _container(pod)
        if found is not None:
            return found
    if waiting:
        reported = _first(warnings_of(cluster, waiting[:_MOST_PODS]))
        return reported or WaitReason("starting", "its pod is being started")
    return _first(warnings_of(cluster, owned_objects(cluster, job))) or WaitReason(
        "starting", "its pod is not created yet"
    )


def is_waiting(job: Object, pods: list[Object]) -> bool:
    """True if a job cannot work with the pods that it has.

    One that runs is enough for a job or a sweep; a job on several nodes needs all of them.

    Args:
        job: the job.
        pods: its pods, also those that have ended.
    """
    needed = nodes_of(job)
    if is_sweep(job):
        return not any(map(is_working, pods))
    return sum(is_working(pod) or has_succeeded(pod) for pod in pods) < needed


def _first(warnings: list[WarningEvent]) -> WaitReason | None:
    return _explained(warnings[0]) if warnings else None


def _explained(warning: WarningEvent) -> WaitReason:
    message = warning.message
    if warning.reason in _VOLUME_REASONS:
        return WaitReason("volume", message, _CLAIMS_FIX)
    if _CREATE_REASONS.fullmatch(warning.reason):
        if "exceeded quota" in message:
            return WaitReason("quota", f"the namespace's quota is used up: {message}", _QUOTA_FIX)
        if "must specify" in message and "quota" in message:
            return WaitReason(
                "quota",
                f"the namespace's quota: {message}",
                f"set run.memory in the recipe, and {REPLACE}",
            )
        if "is forbidden" in message or "denied" in message:
            fix = _ACCOUNT_FIX if _NO_ACCOUNT.search(message) else _POLICY_FIX
            return WaitReason("policy", f"the cluster refuses the pod: {message}", fix)
    return WaitReason(
        "cluster",
        f"{warning.reason}: {message}",
        f"show it to an admin; kubectl describe {warning.subject.lower()} lists all events",
    )


def _image(pod: Object) -> WaitReason | None:
    for name in containers(pod):
        waiting = container_status(pod, name).get("waiting") or {}
        if waiting.get("reason") in _IMAGE_REASONS:
            return WaitReason(
                "image",
                f"the image of {name} cannot be pulled: {container_spec(pod, name).get('image', '?')}: "
                f"{clean(waiting.get('message') or waiting['reason'])}",
                "check run.image, run.kubernetes.image_pull_secrets, and the nodes' access to the registry; "
                f"after a correction, {REPLACE}",
            )
    return None


def _unscheduled(pod: Object) -> WaitReason | None:
    for one in (pod.get("status") or {}).get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            message = clean(one.get("message") or one.get("reason") or "")
            if "persistentvolumeclaim" in message.lower():
                return WaitReason("volume", _shortages(message), _CLAIMS_FIX)
            if one.get("reason") == "SchedulingGated":
                return WaitReason("queue", f"held back: {message}")
            return WaitReason("node", f"no node fits: {_shortages(message)}", _node_fix(message))
    return None


def _shortages(message: str) -> str:
    """The scheduler's message, e.g. ``0/3 nodes are available: 2 Insufficient cpu``.

    What it says about preemption and resource claims is left out.
    """
    before = message.partition("preemption:")[0]
    return before.replace("no new claims to deallocate", "").strip(" .,;")


def _node_fix(message: str) -> str | None:
    if "Insufficient" in message:
        short = sorted(set(re.findall(r"Insufficient ([A-Za-z0-9./-]+)", message)))
        return (
            f"wait for a node with enough {', '.join(one.rstrip('.') for one in short)}, or request less "
            f"(run.gpus, run.memory) and {REPLACE}"
        )
    if "taint" in message:
        return f"add the taint to run.kubernetes.tolerations, and {REPLACE}"
    if "didn't match" in message:
        return (
            "check run.kubernetes.node_selector (kubectl get nodes --show-labels); after a correction, "
            f"{REPLACE}"
        )
    return None


def _container(pod: Object) -> WaitReason | None:
    for name in containers(pod):
        waiting = container_status(pod, name).get("waiting") or {}
        if waiting.get("reason") in _CONTAINER_REASONS:
            return WaitReason(
                "policy",
                f"the container {name} cannot be created: "
                f"{clean(waiting.get('message') or waiting['reason'])}",
                f"check the image and the secrets in the recipe's run; after a correction, {REPLACE}",
            )
    return None
