"""States and wait reasons of jobs and pods in words."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_age import age
from starfreight.jobs.backends.kubernetes.client.job_status import end_of, indexes, view
from starfreight.jobs.backends.kubernetes.client.wait_reasons import wait_reason

PODS = "/api/v1/namespaces/research/pods"
EVENTS = "/api/v1/namespaces/research/events"


def condition(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": "True", **more}


class TestJobs:
    @pytest.mark.parametrize(
        ("spec", "status", "metadata", "word"),
        [
            ({}, {"active": 1}, {}, "active"),
            ({}, {}, {}, "active"),
            ({}, {"conditions": [condition("Complete")]}, {}, "done"),
            ({}, {"conditions": [condition("Failed", reason="DeadlineExceeded")]}, {}, "failed"),
            ({"suspend": True}, {}, {}, "stopped"),
            ({"suspend": True}, {}, {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}, "queued"),
            ({}, {"active": 1}, {"annotations": {"dev.starfreight/paused": "{}"}}, "stopping"),
            ({}, {"terminating": 1}, {"annotations": {"dev.starfreight/paused": "{}"}}, "stopping"),
            ({}, {}, {"annotations": {"dev.starfreight/paused": "{}"}}, "stopped"),
            ({}, {"active": 1}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "deleting"),
            ({}, {"conditions": [{"type": "Complete", "status": "False"}]}, {}, "active"),
        ],
    )
    def test_a_word_for_each_state(
        self, api: Any, spec: dict[str, Any], status: dict[str, Any], metadata: dict[str, Any], word: str
    ) -> None:
        assert view(api.job("acme", spec=spec, status=status, metadata=metadata)).status == word

    def test_a_job_set_that_is_cancelled_stops_as_long_as_it_has_pods(self, api: Any) -> None:
        metadata = {"annotations": {"dev.starfreight/paused": "{}"}}
        for active, word in ((1, "stopping"), (0, "stopped")):
            status = {"replicatedJobsStatus": [{"name": "node", "active": active}]}
            assert view(api.job("acme", spec={}, status=status, metadata=metadata)).status == word


class TestEnds:
    @pytest.mark.parametrize(
        ("ended", "words"),
        [
            (
                {"exitCode": 75},
                "stopped on request (exit code 75) while training",
            ),
            ({"exitCode": 2}, "could not use its recipe or an input (exit code 2) while training"),
            (
                {"exitCode": 137, "reason": "OOMKilled"},
                "was killed by the kernel (exit code 137): it had used up its 4Gi of memory while training",
            ),
            ({"exitCode": 137, "reason": "Error"}, "was killed (exit code 137, signal 9) while training"),
            (
                {"exitCode": 137, "reason": "ContainerStatusUnknown"},
                "was removed before it could start or report its end",
            ),
            ({"exitCode": 9}, "ended with exit code 9 while training"),
            (
                {"exitCode": 128, "reason": "StartError", "message": "no such file"},
                "could not be started for training: no such file",
            ),
        ],
    )  # fmt: skip
    def test_how_a_pod_ended(self, api: Any, ended: dict[str, Any], words: str) -> None:
        api.pod("acme-1", "acme", {"terminated": ended}, "Failed")
        pod = api.objects[f"{PODS}/acme-1"]
        pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "4Gi"}}
        end = end_of(pod)
        assert end is not None
        assert end.what == words

    def test_a_pod_that_the_node_evicted(self, api: Any) -> None:
        api.pod("acme-1", "acme", {}, "Failed", reason="Evicted", message="The node was low on disk.")
        end = end_of(api.objects[f"{PODS}/acme-1"])
        assert end is not None
        assert (end.exit_code, end.what) == (
            None,
            "was ended by the cluster: Evicted: The node was low on disk.",
        )

    def test_what_the_node_says_of_a_pod_that_was_killed(self, api: Any) -> None:
        killed, why = {"terminated": {"exitCode": 137, "reason": "Error"}}, "The disk was used up."
        api.pod("acme-1", "acme", killed, "Failed", reason="Evicted", message=why)
        end = end_of(api.objects[f"{PODS}/acme-1"])
        assert end is not None
        assert end.what == f"was killed (exit code 137, signal 9) while training: Evicted: {why}"

    def test_a_pod_that_runs_has_not_ended(self, api: Any) -> None:
        api.pod("acme-1", "acme", {"running": {}})
        assert end_of(api.objects[f"{PODS}/acme-1"]) is None


class TestWaiting:
    @pytest.mark.parametrize(
        ("said", "kind", "fix"),
        [
            ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", "node", "enough nvidia.com/gpu"),
            ("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.", "node", "cpu, memory"),
            ("0/1 nodes are available: 1 node(s) had taint {gpu: true}.", "node", "tolerations"),
            ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity.", "node", "node_selector"),
            ('persistentvolumeclaim "starfreight-runs" not found', "volume", "kubectl get pvc"),
        ],
    )
    def test_a_pod_that_no_node_takes(
        self, api: Any, cluster: Cluster, said: str, kind: str, fix: str
    ) -> None:
        held = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
        api.pod("acme-1", "acme", {}, "Pending", conditions=[held])
        found = wait_reason(cluster, api.job("acme"), [api.objects[f"{PODS}/acme-1"]])
        assert found.kind == kind
        assert said.rstrip(".") in found.what
        assert fix in str(found.fix)

    @pytest.mark.parametrize(
        "said",
        [
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes "
            "are available: 1 Preemption is not helpful for scheduling.",
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available.",
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate.",
            "0/1 nodes are available: 1 Insufficient cpu.",
        ],
    )
    def test_the_schedulers_words_on_preemption_are_left_out(
        self, api: Any, cluster: Cluster, said: str
    ) -> None:
        held = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
        api.pod("acme-1", "acme", {}, "Pending", conditions=[held])
        found = wait_reason(cluster, api.job("acme"), [api.objects[f"{PODS}/acme-1"]])
        assert found.what == "no node fits: 0/1 nodes are available: 1 Insufficient cpu"

    @pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
    def test_an_image_that_cannot_be_pulled(self, api: Any, cluster: Cluster, reason: str) -> None:
        api.pod("acme-1", "acme", {"waiting": {"reason": reason, "message": "denied"}}, "Pending")
        found = wait_reason(cluster, api.job("acme"), [api.objects[f"{PODS}/acme-1"]])
        assert (found.kind, found.what) == ("image", "the image of train cannot be pulled: trainer: denied")

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ('pods "acme" is forbidden: exceeded quota: starfreight, requested: pods=1', "quota"),
            ('pods "acme" is forbidden: violates PodSecurity "restricted:latest"', "policy"),
        ],
    )
    def test_a_pod_that_is_not_made(self, api: Any, cluster: Cluster, said: str, kind: str) -> None:
        api.put(f"{EVENTS}/a", reason="FailedCreate", message=said, lastTimestamp="2026-01-01T00:00:00Z")
        found = wait_reason(cluster, api.job("acme", status={}), [])
        assert found.kind == kind
        assert said in found.what

    def test_a_namespace_that_is_not_set_up(self, api: Any, cluster: Cluster) -> None:
        said = 'pods "acme-" is forbidden: error looking up service account default/starfreight-job: '
        said += 'serviceaccount "starfreight-job" not found'
        api.put(f"{EVENTS}/a", reason="FailedCreate", message=said, lastTimestamp="2026-01-01T00:00:00Z")
        found = wait_reason(cluster, api.job("acme", status={}), [])
        assert found.fix is not None
        assert "--namespace" in found.fix and "kubernetes/base" in found.fix

    def test_a_volume_that_cannot_be_mounted(self, api: Any, cluster: Cluster) -> None:
        api.pod("acme-1", "acme", {"waiting": {"reason": "ContainerCreating"}}, "Pending")
        api.put(f"{EVENTS}/a", reason="FailedMount", message="volume is lost")
        found = wait_reason(cluster, api.job("acme"), [api.objects[f"{PODS}/acme-1"]])
        assert (found.kind, found.what) == ("volume", "volume is lost")

    def test_a_queue_says_what_it_waits_for(self, api: Any, cluster: Cluster) -> None:
        labels = {"kueue.x-k8s.io/queue-name": "gpus"}
        job = api.job("acme", spec={"suspend": True}, metadata={"labels": labels})
        said = "LocalQueue gpus doesn't exist"
        api.put(
            "/apis/kueue.x-k8s.io/v1beta2/namespaces/research/workloads/a",
            metadata={"labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}},
            status={"conditions": [{"type": "QuotaReserved", "status": "False", "message": said}]},
        )
        found = wait_reason(cluster, job, [])
        assert (found.kind, found.what) == ("queue", f"in the queue gpus: {said}")
        assert "--queue" in str(found.fix)

    def test_who_may_not_see_events_is_told_less_and_no_error(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        api.before = lambda asked: (
            reply(403, failure(403, "Forbidden", "no events for you")) if asked.path == EVENTS else None
        )
        assert wait_reason(cluster, api.job("acme", status={}), []).kind == "starting"


def test_the_indexes_of_a_sweep() -> None:
    assert indexes("0,3-5,9") == {0, 3, 4, 5, 9}
    assert indexes("") == set()


def test_an_age_is_never_negative(cluster: Cluster) -> None:
    now = cluster.now()
    assert age("2099-01-01T00:00:00Z", now) == "0 s"
    assert age((now - datetime.timedelta(days=3)).isoformat(), now) == "3 d"
    assert age((now - datetime.timedelta(minutes=185)).isoformat(), now) == "3:05 h"
    assert age(None, now) == "?"
