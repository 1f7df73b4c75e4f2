"""Objects of a cluster, whose types its API server checks, and whose texts anybody writes."""

from __future__ import annotations

import json
from typing import Any

from fuzzing import changed_texts, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.console import harmless
from starfreight.jobs.backends.docker.finished_container import ending_of
from starfreight.jobs.backends.kubernetes.client import job_status, wait_reasons

JOB = {
    "metadata": {
        "name": "acme-1", "labels": {"kueue.x-k8s.io/queue-name": "team"},
        "annotations": {"starfreight.dev/paused": '{"parallelism": 1}', "starfreight.dev/recipe": "sha256:0"},
    },
    "spec": {"completionMode": "Indexed", "completions": 6, "suspend": True},
    "status": {
        "completedIndexes": "0,3-5", "failedIndexes": "1", "succeeded": 4,
        "conditions": [{"type": "Failed", "status": "True", "reason": "FailedIndexes", "message": "no"}],
    },
}  # fmt: skip
POD = {
    "metadata": {"name": "acme-1-0", "annotations": {"batch.kubernetes.io/job-completion-index": "3"}},
    "spec": {
        "initContainers": [{"name": "fetch", "image": "a"}],
        "containers": [{"name": "train", "image": "a", "resources": {"limits": {"memory": "8Gi"}}}],
    },
    "status": {
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory.",
        "initContainerStatuses": [
            {"name": "fetch", "state": {"waiting": {"reason": "ErrImagePull", "message": "m"}}}
        ],
        "containerStatuses": [
            {"name": "train", "state": {"terminated": {"exitCode": 137, "reason": "Error", "message": "m"}}}
        ],
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                        "message": "0/3 nodes are available: 2 Insufficient cpu. preemption: none"}],
    },
}  # fmt: skip
STATE = {"ExitCode": 137, "OOMKilled": True, "Error": "no", "Status": "exited", "Running": False}


@fuzz
@given(job=changed_texts(JOB))
def test_a_job(job: Any) -> None:
    def read() -> None:
        json.dumps(job_status.view(job).as_dict())
        job_status.paused(job)
        job_status.is_over(job)

    holds(read)


@fuzz
@given(text=st.one_of(texts, st.text("0123456789,-\u00b2\u0663", max_size=60)))
def test_a_list_of_variants(text: str) -> None:
    holds(lambda: job_status.named(job_status.indexes(text)))


@fuzz
@given(pod=changed_texts(POD))
def test_a_pod(pod: Any) -> None:
    def read() -> None:
        harmless(job_status.describe_pod(pod))
        job_status.variant_of(pod)
        for reason in (wait_reasons._image, wait_reasons._unscheduled, wait_reasons._container):
            found = reason(pod)
            assert found is None or harmless(found.what)

    holds(read)


@fuzz
@given(state=changed_texts(STATE))
def test_the_end_of_a_container(state: Any) -> None:
    holds(lambda: ending_of(state, {"memory": 1 << 30}))
