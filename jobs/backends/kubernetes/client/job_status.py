"""State of jobs and pods in words, from their objects alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from starfreight.jobs.backends.endings import KILLED, Ending, describe, out_of_memory
from starfreight.jobs.backends.kubernetes.client.labels import PAUSED
from starfreight.jobs.backends.kubernetes.manifests.names import ANNOTATION_RECIPE, LABEL_QUEUE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

Status = Literal["queued", "active", "stopping", "stopped", "done", "failed", "deleting"]

INDEX = "batch.kubernetes.io/job-completion-index"

_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
"""Kubernetes allows 100,000 indexes."""

_LATER_STEPS = {"fetch": "fetching", "package": "packaging", "publish": "publishing"}


@dataclass(frozen=True)
class JobView:
    """Summary of a job.

    Attributes:
        name: of the job.
        status: of the job.
        what: explanation of the status; empty if the conditions of the job give none.
        pods: number of pods that must succeed, e.g. the variants of a sweep.
        done: number of pods that have succeeded.
        failed: number of pods that have failed.
        done_variants: numbers of a sweep's variants that are done.
        failed_variants: numbers of a sweep's variants that failed for good.
        created: time of its creation.
        queue: its Kueue queue.
        recipe_digest: digest of its recipe.
    """

    name: str
    status: Status
    what: str
    pods: int
    done: int
    failed: int
    done_variants: tuple[int, ...]
    failed_variants: tuple[int, ...]
    created: str | None
    queue: str | None
    recipe_digest: str | None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "job": self.name,
            "status": self.status,
            "what": self.what,
            "pods": self.pods,
            "done": self.done,
            "failed": self.failed,
            "failed_variants": list(self.failed_variants),
            "created": self.created,
            "queue": self.queue,
            "recipe_digest": self.recipe_digest,
        }


def view(job: Object) -> JobView:
    """Summary of a Job, a JobSet or a TrainJob."""
    metadata, spec, status = job["metadata"], job.get("spec") or {}, job.get("status") or {}
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    word, what = _word(job)
    return JobView(
        name=str(metadata["name"]),
        status=word,
        what=what,
        pods=int(spec.get("completions") or 1),
        done=int(status.get("succeeded") or 0),
        failed=int(status.get("failed") or 0),
        done_variants=_variants(job, "completedIndexes"),
        failed_variants=_variants(job, "failedIndexes"),
        created=metadata.get("creationTimestamp"),
        queue=labels.get(LABEL_QUEUE),
        recipe_digest=notes.get(ANNOTATION_RECIPE),
    )


def is_sweep(job: Object) -> bool:
    """True for an Indexed Job, which has a pod for each variant."""
    return (job.get("spec") or {}).get("completionMode") == "Indexed"


def indexes(text: object) -> set[int]:
    """The numbers in a list of ranges, e.g. ``0,3-5``."""
    found: set[int] = set()
    for part in filter(None, str(text or "").split(",")):
        if (match := _RANGE.fullmatch(part)) is not None:
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def named(variants: Iterable[int], most: int = 20) -> str:
    """Numbers of variants for a message: ``1, 3, 4``."""
    numbers = sorted(variants)
    return ", ".join(map(str, numbers[:most])) + (" ..." if len(numbers) > most else "")


def _variants(job: Object, key: str) -> tuple[int, ...]:
    return tuple(sorted(indexes((job.get("status") or {}).get(key)))) if is_sweep(job) else ()


def is_over(job: Object) -> bool:
    """True if the job has succeeded or failed."""
    return _word(job)[0] in ("done", "failed")


def paused(job: Object) -> dict[str, Any] | None:
    """Values of a cancelled job to restore on resume; ``None`` if it is not cancelled."""
    note = (job["metadata"].get("annotations") or {}).get(PAUSED)
    if note is None:
        return None
    try:
        value = json.loads(note)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def _word(job: Object) -> tuple[Status, str]:
    metadata, spec, status = job["metadata"], job.get("spec") or {}, job.get("status") or {}
    conditions = {
        one.get("type"): one for one in status.get("conditions") or () if one.get("status") == "True"
    }
    # A JobSet and a TrainJob have the counts of each of their Jobs.
    counts = [status, *(status.get("replicatedJobsStatus") or ()), *(status.get("jobsStatus") or ())]
    active = sum(int(one.get("active") or 0) for one in counts)
    for kind in ("Complete", "Completed", "SuccessCriteriaMet"):
        if kind in conditions:
            return "done", ""
    for kind in ("Failed", "FailureTarget"):
        if kind in conditions:
            return "failed", _failure(conditions[kind])
    if metadata.get("deletionTimestamp"):
        return "deleting", "being deleted"
    if paused(job) is not None:
        ending = active or int(status.get("terminating") or 0)
        return ("stopping", "writing its checkpoint") if ending else ("stopped", "cancelled")
    if spec.get("suspend"):
        if (metadata.get("labels") or {}).get(LABEL_QUEUE):
            return "queued", "waiting in its queue"
        return "stopped", "suspended"
    return "active", ""


def _failure(condition: Object) -> str:
    reason = condition.get("reason")
    return {
        "BackoffLimitExceeded": "its pod failed and is not retried",
        "DeadlineExceeded": "it ran longer than its time limit (run.time_limit)",
        "FailedIndexes": "some of its variants failed",
        "MaxFailedIndexesExceeded": "too many of its variants failed",
    }.get(str(reason), str(condition.get("message") or reason or ""))


def variant_of(pod: Object) -> int | None:
    """Number of the variant that a pod runs; ``None`` without a sweep."""
    metadata = pod["metadata"]
    found = (metadata.get("annotations") or {}).get(INDEX) or (metadata.get("labels") or {}).get(INDEX)
    text = str(found or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None


def containers(pod: Object) -> list[str]:
    """Names of a pod's containers in the order in which they run."""
    spec = pod.get("spec") or {}
    return [str(one["name"]) for kind in ("initContainers", "containers") for one in spec.get(kind) or ()]


def container_spec(pod: Object, name: str) -> dict[str, Any]:
    """The specification of a container; empty if the pod does not have it."""
    spec = pod.get("spec") or {}
    for kind in ("initContainers", "containers"):
        for one in spec.get(kind) or ():
            if one.get("name") == name:
                return dict(one)
    return {}


def container_status(pod: Object, name: str) -> dict[str, Any]:
    """State of a container: a dict with one of the keys ``waiting``, ``running`` and ``terminated``."""
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or ():
            if one.get("name") == name:
                found = one.get("state")
                return found if isinstance(found, dict) else {}
    return {}


def has_ended(pod: Object) -> bool:
    """True if no container of a pod is running or will run."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def has_succeeded(pod: Object) -> bool:
    """True if all containers of a pod have ended without an error."""
    return bool((pod.get("status") or {}).get("phase") == "Succeeded")


def is_working(pod: Object) -> bool:
    """True if a container of the pod is running."""
    return any("running" in container_status(pod, name) for name in containers(pod))


@dataclass(frozen=True)
class PodEnd(Ending):
    """The end of a pod.

    Attributes:
        exit_code: of the container that failed; 0 if none did; ``None`` if the pod was ended from outside.
        container: the one that failed.
        explained: false if the cluster gives no reason: a pod's phase can precede its containers' ends.
    """

    container: str | None = None
    explained: bool = True


def end_of(pod: Object) -> PodEnd | None:
    """The end of a pod; ``None`` if it has not ended."""
    status = pod.get("status") or {}
    for name in containers(pod):
        ended = container_status(pod, name).get("terminated")
        if ended and ended.get("exitCode") != 0:
            return _end(name, ended, pod)
    if status.get("phase") == "Succeeded":
        return PodEnd(0, describe(0))
    if status.get("phase") == "Failed":
        reason, message = status.get("reason") or "", status.get("message") or ""
        explanation = ": ".join(filter(None, (reason, message)))
        if not explanation:
            return PodEnd(None, "ended, and the cluster kept no exit code", explained=False)
        return PodEnd(None, f"was ended by the cluster: {explanation}")
    return None


def _end(name: str, ended: Object, pod: Object) -> PodEnd:
    code = int(ended.get("exitCode") or 0)
    activity = _activity(name)
    if ended.get("reason") == "OOMKilled":
        return PodEnd(code, f"{out_of_memory(code, _limit(pod, name))} while {activity}", True, name)
    if code == KILLED and ended.get("reason") == "ContainerStatusUnknown":
        return PodEnd(code, "was removed before it could start or report its end", container=name)
    if ended.get("reason") in ("ContainerCannotRun", "StartError"):
        what = f"could not be started for {activity}: {ended.get('message') or 'no reason'}"
        return PodEnd(code, what, container=name)
    reason = _reason_of_pod(pod) if code == KILLED else ""
    return PodEnd(code, f"{describe(code)} while {activity}{reason}", container=name)


def _activity(step: str) -> str:
    """Activity of a container, by its name."""
    from starfreight.jobs.kinds.table import KINDS, find_kind

    return find_kind(step).activity if step in KINDS else _LATER_STEPS.get(step, step)


def _reason_of_pod(pod: Object) -> str:
    status = pod.get("status") or {}
    reason = ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key))
    return f": {reason}" if reason else ""


def _limit(pod: Object, name: str) -> str | None:
    resources = container_spec(pod, name).get("resources") or {}
    limit = (resources.get("limits") or {}).get("memory")
    return str(limit) if limit else None


def describe_pod(pod: Object) -> str:
    """Activity or end of a pod. For the reason of a wait, see :mod:`wait_reasons`."""
    end = end_of(pod)
    if end is not None and has_ended(pod):
        return end.what
    working = [name for name in containers(pod) if "running" in container_status(pod, name)]
    if pod["metadata"].get("deletionTimestamp"):
        return "stopping: writing its checkpoint" if working else "stopping"
    if working:
        return _activity(working[0])
    return "waiting"
