"""What a Job's and a pod's objects say, in words. Nothing is asked of the server here."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import Any, Literal

from starfreight.jobs.backends.kubernetes.client.labels import PAUSED
from starfreight.jobs.backends.kubernetes.manifests.names import ANNOTATION_RECIPE, LABEL_QUEUE, LABEL_RUN
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

Status = Literal["queued", "active", "stopping", "stopped", "done", "failed", "deleting"]

INDEX = "batch.kubernetes.io/job-completion-index"

STEPS = {"train": "training", "package": "packaging", "publish": "publishing"}
"""What the containers of a pod do, by their names."""

_OUT_OF_MEMORY = 137
_ENDS = {
    0: "done",
    1: "failed by a fault of its own (exit code 1)",
    2: "the recipe or an input cannot be used (exit code 2)",
    3: "refused by a gate (exit code 3)",
    4: "something outside failed (exit code 4)",
    75: "stopped with its checkpoint written (exit code 75)",
    143: "stopped before it could write a checkpoint (exit code 143)",
}


@dataclass(frozen=True)
class JobView:
    """A Job in a line."""

    name: str
    status: Status
    what: str
    """Why it is so, where the Job's own conditions tell."""
    pods: int
    """How many it needs to end well: the variants of a sweep."""
    done: int
    failed: int
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
            "created": self.created,
            "queue": self.queue,
            "recipe_digest": self.recipe_digest,
        }


def view(job: Object) -> JobView:
    """A Job (or a JobSet, or a TrainJob) in a line."""
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
        created=metadata.get("creationTimestamp"),
        queue=labels.get(LABEL_QUEUE),
        recipe_digest=notes.get(ANNOTATION_RECIPE),
    )


def is_over(job: Object) -> bool:
    """Whether it has ended, well or not."""
    return _word(job)[0] in ("done", "failed")


def paused(job: Object) -> dict[str, Any] | None:
    """What a cancelled job had before it was cancelled; ``None`` for one that was not."""
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
    # A JobSet counts by its Jobs.
    counts = [status, *(status.get("replicatedJobsStatus") or ())]
    active = sum(int(one.get("active") or 0) for one in counts)
    for kind in ("Complete", "Completed", "SuccessCriteriaMet"):
        if kind in conditions:
            return "done", ""
    for kind in ("Failed", "FailureTarget"):
        if kind in conditions:
            return "failed", _failure(conditions[kind])
    if metadata.get("deletionTimestamp"):
        return "deleting", "it is being deleted"
    if paused(job) is not None:
        ending = active or int(status.get("terminating") or 0)
        return ("stopping", "writing its checkpoint") if ending else ("stopped", "cancelled")
    if spec.get("suspend"):
        if (metadata.get("labels") or {}).get(LABEL_QUEUE):
            return "queued", "waits in its queue"
        return "stopped", "suspended"
    return "active", ""


def _failure(condition: Object) -> str:
    reason = condition.get("reason")
    return {
        "BackoffLimitExceeded": "its pod failed, and is not tried again",
        "DeadlineExceeded": "it ran longer than its time limit (run.time_limit)",
        "FailedIndexes": "not all of its variants ended well",
        "MaxFailedIndexesExceeded": "too many of its variants failed",
    }.get(str(reason), str(condition.get("message") or reason or ""))


def variant_of(pod: Object) -> int | None:
    """Which variant of a sweep a pod trains."""
    metadata = pod["metadata"]
    found = (metadata.get("annotations") or {}).get(INDEX) or (metadata.get("labels") or {}).get(INDEX)
    text = str(found or "")
    return int(text) if text.isdigit() else None


def job_of(pod: Object) -> str | None:
    """The name of the job that a pod belongs to."""
    name = (pod["metadata"].get("labels") or {}).get(LABEL_RUN)
    return str(name) if name else None


def containers(pod: Object) -> list[str]:
    """The names of a pod's containers in the order in which they run."""
    spec = pod.get("spec") or {}
    return [str(one["name"]) for kind in ("initContainers", "containers") for one in spec.get(kind) or ()]


def container_status(pod: Object, name: str) -> dict[str, Any]:
    """What a container does: a dict with one of the keys ``waiting``, ``running`` and ``terminated``."""
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or ():
            if one.get("name") == name:
                found = one.get("state")
                return found if isinstance(found, dict) else {}
    return {}


def has_ended(pod: Object) -> bool:
    """Whether nothing of a pod runs any more, and nothing will."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_working(pod: Object) -> bool:
    """Whether a container of it runs."""
    return any("running" in container_status(pod, name) for name in containers(pod))


@dataclass(frozen=True)
class End:
    """How a pod ended."""

    exit_code: int | None
    """Of the container that failed; 0 when none did; ``None`` when the pod was ended from outside."""
    what: str
    container: str | None = None
    out_of_memory: bool = False
    explained: bool = True
    """Whether the cluster says why. A pod's phase can be known before the ends of its containers."""


def end_of(pod: Object) -> End | None:
    """How a pod ended; ``None`` when it has not."""
    status = pod.get("status") or {}
    for name in containers(pod):
        ended = container_status(pod, name).get("terminated")
        if ended and ended.get("exitCode") != 0:
            return _end(name, ended, pod)
    if status.get("phase") == "Succeeded":
        return End(0, "done")
    if status.get("phase") == "Failed":
        reason, message = status.get("reason") or "", status.get("message") or ""
        said = ": ".join(filter(None, (reason, message)))
        if not said:
            return End(None, "ended, and the cluster kept no exit code", explained=False)
        return End(None, f"was ended by the cluster: {said}")
    return None


def _end(name: str, ended: Object, pod: Object) -> End:
    code = int(ended.get("exitCode") or 0)
    doing = STEPS.get(name, name)
    if ended.get("reason") == "OOMKilled":
        return End(code, f"was killed while {doing}: out of memory{_limit(pod, name)}", name, True)
    if code == _OUT_OF_MEMORY:
        if ended.get("reason") == "ContainerStatusUnknown":
            return End(code, "was taken away before it could start or say how it ended", name)
        return End(code, f"was killed while {doing} (exit code 137){_why_the_pod(pod)}", name)
    if ended.get("reason") in ("ContainerCannotRun", "StartError"):
        return End(code, f"could not be started for {doing}: {ended.get('message') or 'no reason'}", name)
    said = _ENDS.get(code, f"ended with exit code {code}")
    return End(code, f"{doing}: {said}", name)


def _why_the_pod(pod: Object) -> str:
    status = pod.get("status") or {}
    said = ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key))
    return f": {said}" if said else ""


def _limit(pod: Object, name: str) -> str:
    spec = pod.get("spec") or {}
    for kind in ("initContainers", "containers"):
        for one in spec.get(kind) or ():
            limit = ((one.get("resources") or {}).get("limits") or {}).get("memory")
            if one.get("name") == name and limit:
                return f" (its limit is {limit})"
    return ""


def pod_words(pod: Object) -> str:
    """What a pod does, in words; what a waiting one waits for is told by :mod:`pending`."""
    end = end_of(pod)
    if end is not None and has_ended(pod):
        return end.what
    working = [name for name in containers(pod) if "running" in container_status(pod, name)]
    if pod["metadata"].get("deletionTimestamp"):
        return "stopping: writing its checkpoint" if working else "stopping"
    if working:
        return STEPS.get(working[0], working[0])
    return "waiting"


def age(created: str | None, now: datetime.datetime) -> str:
    """How long ago, as ``2d``, ``3h``, ``5m`` or ``12s``."""
    if not created:
        return "?"
    seconds = max(0, int((now - datetime.datetime.fromisoformat(created)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
