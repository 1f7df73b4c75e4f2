"""Controllers of a cluster for the imitated Kubernetes API: those of Jobs, JobSet, Trainer and Kueue.

They act after each write, like the real ones of Kubernetes 1.36, JobSet 0.12, Trainer 2.3 and Kueue 0.19:

- Trainer gives a TrainJob a JobSet of the same name, and undoes what others change in its ``suspend``.
- JobSet gives a JobSet its Jobs, and undoes the same in them.
- A Job has pods unless it is suspended, or a quota or a policy refuses them. Refusals are events of the Job.
- Kueue suspends jobs until their Workload is admitted; with ``manage_all`` also jobs without a queue.
- What is deleted takes along what it owns.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

BATCH = "/apis/batch/v1/namespaces/research/jobs"
JOB_SETS = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/research/jobsets"
TRAIN_JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/research/trainjobs"
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2/namespaces/research/workloads"
QUEUES = "/apis/kueue.x-k8s.io/v1beta2/namespaces/research/localqueues"
PODS = "/api/v1/namespaces/research/pods"
EVENTS = "/api/v1/namespaces/research/events"
STARTED = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
_QUEUE = "kueue.x-k8s.io/queue-name"
_KINDS = {BATCH: ("batch/v1", "Job"), JOB_SETS: ("jobset.x-k8s.io/v1alpha2", "JobSet"),
          TRAIN_JOBS: ("trainer.kubeflow.org/v1alpha1", "TrainJob")}  # fmt: skip


class Controllers:
    """The controllers of one imitated API.

    Attributes:
        refusal: message with which the creation of pods is refused.
        state: state of a new pod's container.
        phase: phase of a new pod.
        kueue: true if Kueue runs.
        manage_all: Kueue's ``manageJobsWithoutQueueName``.
        room: true if Kueue admits jobs.
        grace: seconds that a pod takes to write its checkpoint; 0 to end it at once.
        holds: true for a controller of somebody's that suspends every Job of its own again.
        logs: lines of each pod's log, with their timestamps.
        cuts: for each pod, the numbers of lines after which its connections break.
    """

    def __init__(self, api: Any) -> None:
        self.api = api
        self.refusal = ""
        self.state: dict[str, Any] = STARTED
        self.phase = "Running"
        self.kueue = self.manage_all = False
        self.room = True
        self.holds = False
        self.grace = 0.0
        self.logs: dict[str, list[bytes]] = {}
        self.cuts: dict[str, list[int]] = {}
        self._numbers = itertools.count(1)

    def start(self, path: str, **body: Any) -> dict[str, Any]:
        """Creates an object and lets the controllers act."""
        metadata = {"uid": f"uid-of-{next(self._numbers)}", **body.pop("metadata", {})}
        made: dict[str, Any] = self.api.put(path, metadata=metadata, **body)
        self.act()
        return made

    def of(self, prefix: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        return [one for path, one in self.api.objects.items() if path.rpartition("/")[0] == prefix]

    def deleted(self, owner: dict[str, Any]) -> None:
        """Deletes what a deleted object owns."""
        uid = owner["metadata"]["uid"]
        for path, one in list(self.api.objects.items()):
            owners = [each["uid"] for each in one.get("metadata", {}).get("ownerReferences") or ()]
            if owners and all(each == uid for each in owners) and path in self.api.objects:
                self.api.remove(path)
                self.deleted(one)

    def act(self) -> None:
        """One round of each controller, from the top down."""
        if self.kueue:
            for prefix in _KINDS:
                for one in self.of(prefix):
                    if "ownerReferences" not in one["metadata"]:
                        self._queue(prefix, one)
        for one in self.of(TRAIN_JOBS):
            self._own(TRAIN_JOBS, one, JOB_SETS, one["metadata"]["name"], {}, {"replicatedJobs": [
                {"name": "node", "replicas": 1, "template": {"spec": {
                    "parallelism": one["spec"].get("trainer", {}).get("numNodes", 1),
                    "template": self._template(one),
                }}}
            ]})  # fmt: skip
        for one in self.of(JOB_SETS):
            for part in one["spec"].get("replicatedJobs") or ():
                name = f"{one['metadata']['name']}-{part['name']}-0"
                label = {"jobset.sigs.k8s.io/jobset-name": one["metadata"]["name"]}
                self._own(JOB_SETS, one, BATCH, name, label, part["template"]["spec"])
        for one in self.of(BATCH):
            if self.holds and not one["spec"].get("suspend"):
                self._suspend(BATCH, one, True, "gatekeeper")
            self._run(one)
        self._count()

    def _template(self, train_job: dict[str, Any]) -> dict[str, Any]:
        for patch in train_job["spec"].get("runtimePatches") or ():
            (part,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
            found: dict[str, Any] = part["template"]["spec"]["template"]
            return found
        return {"metadata": {"labels": {"dev.starfreight/run": train_job["metadata"]["name"]}}}

    def _own(
        self, prefix: str, owner: dict[str, Any], below: str, name: str, labels: dict[str, str],
        spec: dict[str, Any],
    ) -> None:  # fmt: skip
        """Creates an owned object, or gives it the suspension of its owner back."""
        wanted = bool(owner["spec"].get("suspend"))
        there = self.api.objects.get(f"{below}/{name}")
        if there is None:
            group, kind = _KINDS[prefix]
            above = owner["metadata"]
            reference = {"apiVersion": group, "kind": kind, "name": above["name"], "uid": above["uid"],
                         "controller": True}  # fmt: skip
            metadata = {
                "uid": f"uid-of-{next(self._numbers)}",
                "labels": labels,
                "ownerReferences": [reference],
            }
            self.api.put(f"{below}/{name}", metadata=metadata, spec={**spec, "suspend": wanted}, status={})
        elif bool(there["spec"].get("suspend")) != wanted:
            self._suspend(below, there, wanted, "manager")

    def _suspend(self, prefix: str, one: dict[str, Any], value: bool, manager: str) -> None:
        change = {"spec": {"suspend": value}}
        self.api.change(f"{prefix}/{one['metadata']['name']}", change, manager)

    def _queue(self, prefix: str, one: dict[str, Any]) -> None:
        """Kueue: the Workload decides."""
        metadata = one["metadata"]
        queue = metadata.get("labels", {}).get(_QUEUE)
        if not queue and not self.manage_all:
            return
        path = f"{WORKLOADS}/{metadata['name']}"
        found = self.api.objects.get(path)
        if found is None:
            owner = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
            own = {"labels": {"kueue.x-k8s.io/job-uid": metadata["uid"]}, "ownerReferences": [owner]}
            found = self.api.put(
                path, metadata=own, spec={"queueName": queue or "", "active": True}, status={}
            )
        known = f"{QUEUES}/{queue}" in self.api.objects
        admitted = found["spec"].get("active", True) and known and self.room
        message = "couldn't assign flavors: insufficient unused quota for nvidia.com/gpu" if known else (
            f"LocalQueue {queue or ''} doesn't exist"
        )  # fmt: skip
        held = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}
        found["status"] = {"conditions": [] if admitted else [held]}
        if bool(one["spec"].get("suspend")) == admitted:
            self._suspend(prefix, one, not admitted, "kueue")

    def _run(self, job: dict[str, Any]) -> None:
        """The controller of Jobs: pods as many as the Job may have."""
        metadata, spec = job["metadata"], job["spec"]
        over = any(
            one["type"] in ("Complete", "Failed") for one in job.get("status", {}).get("conditions", ())
        )
        pods = [one for one in self.of(PODS) if one["metadata"]["labels"].get("job-name") == metadata["name"]]
        if over:
            return
        if spec.get("suspend"):
            stopping = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
            for pod in stopping:
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            if self.grace:
                threading.Timer(self.grace, self._stop_later, [stopping]).start()
            else:
                self._stop(stopping)
            return
        if self.refusal:
            self.event(
                "FailedCreate",
                f'Error creating: pods "{metadata["name"]}-{self._suffix()}" is {self.refusal}',
                job,
            )
            return
        labels = spec.get("template", {}).get("metadata", {}).get("labels", {})
        for _ in range(int(spec.get("parallelism") or 1) - len(pods)):
            number = next(self._numbers)
            name = f"{metadata['name']}-{number}"
            owner = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
            own = {"labels": {**labels, "job-name": metadata["name"]}, "uid": f"uid-of-{number}",
                   "ownerReferences": [owner]}  # fmt: skip
            self.api.pod(name, metadata["name"], self.state, self.phase, metadata=own)

    def _stop(self, pods: list[dict[str, Any]]) -> None:
        for pod in pods:
            self.end(pod["metadata"]["name"], 75)
            self.api.remove(f"{PODS}/{pod['metadata']['name']}")

    def _stop_later(self, pods: list[dict[str, Any]]) -> None:
        with self.api.lock:
            self._stop(pods)
            self.act()

    def _suffix(self) -> str:
        """The random end of a pod's name, another one each time."""
        number = next(self._numbers)
        return "".join("bcdfg"[number // 5**place % 5] for place in range(5))

    def _count(self) -> None:
        for one in self.of(BATCH):
            status = one.setdefault("status", {})
            name = one["metadata"]["name"]
            pods = [pod for pod in self.of(PODS) if pod["metadata"]["labels"].get("job-name") == name]
            status["active"] = sum(pod["status"]["phase"] in ("Running", "Pending") for pod in pods)
        for prefix, key in ((JOB_SETS, "replicatedJobsStatus"), (TRAIN_JOBS, "jobsStatus")):
            for one in self.of(prefix):
                part = self.api.objects.get(f"{BATCH}/{one['metadata']['name']}-node-0", {}).get("status", {})
                one.setdefault("status", {})[key] = [{"name": "node", "active": part.get("active", 0)}]

    def end(self, pod: str, code: int) -> None:
        """Ends a pod's container with an exit code."""
        ended = {"terminated": {"exitCode": code, "startedAt": "2026-01-01T00:00:00Z"}}
        self.api.change(
            f"{PODS}/{pod}",
            {"status": {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [{"name": "train", "state": ended}],
            }},
            "kubelet",
        )  # fmt: skip

    def say(self, pod: str, *lines: str, second: int = 1) -> None:
        """Writes lines to a pod's log."""
        stamp = f"2026-01-01T00:00:{second:02}.000000001Z "
        self.logs.setdefault(pod, []).extend(f"{stamp}{line}\n".encode() for line in lines)

    def log(self, pod: str, follow: bool, since: str) -> tuple[Iterator[bytes], bool]:
        """The lines of a pod's log as the kubelet sends them, and true if the connection breaks after them.

        With ``follow``, the lines end with the pod.
        """
        cuts = self.cuts.get(pod) or []
        most = cuts.pop(0) if cuts else None

        def running() -> bool:
            return bool(self.api.objects.get(f"{PODS}/{pod}", {}).get("status", {}).get("phase") == "Running")

        def pieces() -> Iterator[bytes]:
            sent = 0
            while True:
                alive = running()  # Before reading, so that no line written in between is missed.
                for line in self.logs.get(pod, [])[sent:]:
                    if most is not None and sent >= most:
                        return
                    sent += 1
                    if line[:19] >= since[:19].encode():
                        yield line
                if not (follow and alive):
                    return
                time.sleep(0.01)

        return pieces(), most is not None

    def event(self, reason: str, message: str, about: dict[str, Any], kind: str = "Job") -> None:
        """Records a warning about an object. A repeated one is counted."""
        metadata = about["metadata"]
        path = f"{EVENTS}/{reason.lower()}-{metadata['name']}"
        count = self.api.objects.get(path, {}).get("count", 0) + 1
        involved = {"kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
        self.api.put(path, type="Warning", reason=reason, message=message, count=count,
                     involvedObject=involved, lastTimestamp=f"2026-01-01T00:{count % 60:02}:00Z")  # fmt: skip
