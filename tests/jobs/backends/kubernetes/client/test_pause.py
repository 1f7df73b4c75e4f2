"""Cancelling a job with a checkpoint, and resuming it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from starfreight.errors import InputError, ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import paused, view
from starfreight.jobs.backends.kubernetes.client.pause import cancel, unpause
from starfreight.jobs.backends.kubernetes.client.submit import resume
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, find_target

JOBS = "/apis/batch/v1/namespaces/research/jobs"


def test_a_job_is_suspended_and_goes_on(api: Any, cluster: Cluster, said: Any) -> None:
    api.job("acme", status={})
    how = cancel(cluster, *find_target(cluster, "acme"), said, 5)
    assert how == "none of its pods was running"
    job = api.objects[f"{JOBS}/acme"]
    assert job["spec"]["suspend"] is True
    assert view(job).status == "stopped"
    resume(cluster, *find_target(cluster, "acme"), said)
    assert api.objects[f"{JOBS}/acme"]["spec"]["suspend"] is False
    assert paused(api.objects[f"{JOBS}/acme"]) is None


def test_an_old_server_that_would_drop_suspend_gets_no_pods(api: Any, cluster: Cluster, said: Any) -> None:
    api.version = "v1.20.2"
    api.job("acme", status={}, spec={"parallelism": 4, "backoffLimit": 0})
    cancel(cluster, *find_target(cluster, "acme"), said, 5)
    spec = api.objects[f"{JOBS}/acme"]["spec"]
    assert (spec["parallelism"], "suspend" in spec) == (0, False)
    assert spec["backoffLimit"] >= 4
    resume(cluster, *find_target(cluster, "acme"), said)
    spec = api.objects[f"{JOBS}/acme"]["spec"]
    assert (spec["parallelism"], spec["backoffLimit"]) == (4, 0)


def test_kueue_is_told_by_its_workload(api: Any, cluster: Cluster, said: Any) -> None:
    labels = {"kueue.x-k8s.io/queue-name": "gpus"}
    job = api.job("acme", status={}, metadata={"labels": labels})
    path = "/apis/kueue.x-k8s.io/v1beta2/namespaces/research/workloads/job-acme"
    own = {"labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}}
    api.put(path, metadata=own, spec={})
    cancel(cluster, *find_target(cluster, "acme"), said, 5)
    assert api.objects[path]["spec"]["active"] is False
    assert "suspend" not in api.objects[f"{JOBS}/acme"]["spec"]
    resume(cluster, *find_target(cluster, "acme"), said)
    assert api.objects[path]["spec"]["active"] is True


@pytest.mark.parametrize("forbidden", [True, False])
def test_a_job_in_a_queue_is_not_said_to_be_cancelled_when_kueue_cannot_be_told(
    api: Any, cluster: Cluster, said: Any, reply: Any, failure: Any, forbidden: bool
) -> None:
    api.job("acme", status={}, metadata={"labels": {"kueue.x-k8s.io/queue-name": "gpus"}})
    if forbidden:
        no = failure(403, "Forbidden", "workloads.kueue.x-k8s.io is forbidden")
        api.before = lambda asked: reply(403, no) if asked.path.endswith("/workloads") else None
    with pytest.raises(
        ServiceError,
        match="refuses to read workloads" if forbidden else "not created a Workload for the job yet",
    ):
        cancel(cluster, *find_target(cluster, "acme"), said, 5)
    job = api.objects[f"{JOBS}/acme"]
    assert paused(job) is None
    assert "suspend" not in job["spec"]


@pytest.mark.parametrize("note", ['{"parallelism": "99"}', "[]", "no json", '{"template": {"x": 1}}'])
def test_an_annotation_that_somebody_wrote_changes_nothing_else(
    api: Any, cluster: Cluster, note: str
) -> None:
    job = api.job("acme", metadata={"annotations": {"dev.starfreight/paused": note}})
    spec = dict(job["spec"])
    unpause(cluster, Target(JOB, "acme"), job)
    assert api.objects[f"{JOBS}/acme"]["spec"] == spec


def test_a_pod_that_does_not_stop_in_time_is_left_alone(api: Any, cluster: Cluster, said: Any) -> None:
    api.job("acme")
    api.pod("acme-1", "acme", {"running": {}})
    with pytest.raises(ServiceError, match="acme-1 is still running"):
        cancel(cluster, *find_target(cluster, "acme"), said, 0.5)
    assert api.written("DELETE") == []


def test_how_the_pod_ended_is_said(api: Any, cluster: Cluster, said: Any, reply: Any) -> None:
    api.job("acme")
    api.pod("acme-1", "acme", {"running": {}})

    def end(asked: Any) -> Any:
        if "watch" not in asked.query:
            return None
        api.pod("acme-1", "acme", {"terminated": {"exitCode": 75}}, "Failed")
        pod = api.objects["/api/v1/namespaces/research/pods/acme-1"]
        return reply(pieces=[json.dumps({"type": "DELETED", "object": pod}).encode() + b"\n"])

    api.before = end
    assert cancel(cluster, *find_target(cluster, "acme"), said, 5) == "its checkpoint is written"


@pytest.mark.parametrize("told", [True, False])
def test_an_exit_code_that_comes_after_the_phase_is_waited_for(
    api: Any, cluster: Cluster, said: Any, reply: Any, told: bool
) -> None:
    api.job("acme")
    api.pod("acme-1", "acme", {"running": {}})

    def event(kind: str, state: dict[str, Any]) -> bytes:
        api.pod("acme-1", "acme", state, "Failed")
        pod = api.objects["/api/v1/namespaces/research/pods/acme-1"]
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        return json.dumps({"type": kind, "object": pod}).encode() + b"\n"

    def end(asked: Any) -> Any:
        if "watch" not in asked.query:
            return None
        last = {"terminated": {"exitCode": 75}} if told else {"waiting": {}}
        return reply(pieces=[event("MODIFIED", {"waiting": {}}), event("DELETED", last)])

    api.before = end
    how = "its checkpoint is written" if told else "ended, and the cluster kept no exit code"
    assert cancel(cluster, *find_target(cluster, "acme"), said, 5) == how


def test_what_has_ended_cannot_be_cancelled(api: Any, cluster: Cluster, said: Any) -> None:
    api.job("acme", status={"conditions": [{"type": "Complete", "status": "True"}]})
    with pytest.raises(InputError, match="ended already"):
        cancel(cluster, *find_target(cluster, "acme"), said, 5)


def test_one_variant_cannot_be_cancelled(api: Any, cluster: Cluster, said: Any) -> None:
    api.job("acme", spec={"completions": 5, "completionMode": "Indexed"})
    target, job = find_target(cluster, "acme-3")
    assert (target.name, target.variant, target.link) == ("acme", 3, "acme-3")
    with pytest.raises(InputError, match="One variant"):
        cancel(cluster, target, job, said, 5)
