"""Servers that refuse: for a moment after a restart, or for ever."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.errors import ServiceError
from starfreight.jobs.backends.kubernetes.client import permissions
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.connect import connect
from starfreight.jobs.backends.kubernetes.client.follow import follow
from starfreight.jobs.backends.kubernetes.client.logs import log_lines
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, check_namespace
from starfreight.jobs.backends.kubernetes.client.wait_reasons import wait_reason
from starfreight.jobs.backends.kubernetes.client.watch import changes

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "startedAt": "2026-01-01T00:00:00Z"}}
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1}
EVENTS = "/api/v1/namespaces/research/events"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats a refused request quickly."""
    monkeypatch.setattr(permissions, "PAUSE", 0.1)


class TestRestart:
    def test_a_follower_that_was_allowed_before_goes_on(
        self, api: Any, cluster: Cluster, said: Any, reply: Any
    ) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)
        logs: list[Any] = []

        def answer(asked: Any) -> Any:
            if not asked.path.endswith("/log"):
                return None
            logs.append(asked)
            if time.monotonic() < api.loaded:
                return api.answer(asked)
            if len(logs) == 1:
                api.restart(1.0)
                return reply(pieces=[b"2026-01-01T00:00:01Z a\n"], cut=True)
            api.pod("acme-1", "acme", DONE, "Succeeded")
            api.job("acme", status=COMPLETE)
            lines = [b"2026-01-01T00:00:01Z a\n", b"2026-01-01T00:00:02Z b\n"]
            return reply(pieces=[one for one in lines if one[:20].decode() >= asked.query["sinceTime"]])

        api.before = answer
        assert [one.text for one in log_lines(cluster, Target(JOB, "acme"), follow=True)] == ["a", "b"]
        assert said.all.count("refuses what it has allowed before") == 1

    def test_a_watch_goes_on(self, api: Any, cluster: Cluster, reply: Any) -> None:
        api.job("a")
        watches: list[Any] = []

        def answer(asked: Any) -> Any:
            if "watch" not in asked.query:
                return None
            watches.append(asked)
            if len(watches) == 1:
                api.restart(0.5)
                return reply(pieces=[], cut=True)
            if len(watches) < 4:
                return reply(403, {"kind": "Status", "message": "starting"})
            job = {"metadata": {"name": "b", "namespace": "research", "resourceVersion": "2000"}}
            return reply(pieces=[json.dumps({"type": "ADDED", "object": job}).encode() + b"\n"])

        api.before = answer
        names: list[str] = []
        for change in changes(cluster, cluster.jobs(), until=lambda: len(names) == 2):
            if change is not None:
                names.append(change.object["metadata"]["name"])
        assert names == ["a", "b"]

    @pytest.mark.parametrize("path", ["/jobs/acme", "/pods"])
    def test_a_job_of_a_server_that_has_not_loaded_its_kinds_is_not_deleted(
        self, api: Any, cluster: Cluster, said: Any, reply: Any, path: str
    ) -> None:
        api.job("acme", status=COMPLETE)
        counted = {"asked": 0}

        def answer(asked: Any) -> Any:
            counted["asked"] += asked.path.endswith(path)
            if asked.path.endswith(path) and counted["asked"] in (2, 3):
                return reply(404, b"404 page not found", headers={"Content-Type": "text/plain"})
            return None

        api.before = answer
        cluster.get(cluster.jobs("acme"))
        cluster.get(cluster.core("pods"))
        follow(cluster, Target(JOB, "acme"), said)
        assert counted["asked"] >= 3  # Answered at last, after the refusals.

    def test_a_right_that_was_taken_away_is_an_error_after_a_minute(
        self, api: Any, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(permissions, "RESTART", 0.3)
        api.job("acme")
        cluster.get(cluster.jobs("acme"))
        api.restart(60)
        with pytest.raises(ServiceError, match="may not read jobs"):
            cluster.get(cluster.jobs("acme"))
        before = len(api.asked)
        assert before > 2
        with pytest.raises(ServiceError, match="may not read jobs"):
            cluster.get(cluster.jobs("acme"))
        assert len(api.asked) == before

    def test_what_was_never_allowed_is_refused_at_once(self, api: Any, said: Any) -> None:
        api.job("acme")
        api.restart(60)
        with pytest.raises(ServiceError, match="may not read jobs"):
            follow(connect(said, patience=1), Target(JOB, "acme"), said)
        assert len(api.asked) == 1

    def test_a_change_that_a_policy_refuses_is_not_repeated(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        api.job("acme")
        assert cluster.patch(cluster.jobs("acme"), {"metadata": {"labels": {"a": "b"}}}) is not None
        no = failure(403, "Forbidden", "denied by policy")
        api.before = lambda asked: reply(403, no) if asked.method == "PATCH" else None
        with pytest.raises(ServiceError, match="denied by policy"):
            cluster.patch(cluster.jobs("acme"), {"metadata": {"labels": {"a": "c"}}})
        assert len(api.written("PATCH")) == 2


class TestRefusedForEver:
    def test_each_thing_is_asked_once(
        self, api: Any, cluster: Cluster, said: Any, reply: Any, failure: Any
    ) -> None:
        no = failure(403, "Forbidden", 'User "eve" cannot list resource')
        refused = ("/events", "/workloads", "/namespaces/research", "/jobsets", "/trainjobs")
        api.before = lambda asked: reply(403, no) if asked.path.endswith(refused) else None
        labels = {"kueue.x-k8s.io/queue-name": "gpus"}
        queued = api.job("acme", spec={"suspend": True}, metadata={"labels": labels})
        waiting = api.job("other", status={})
        for _ in range(10):
            assert wait_reason(cluster, queued, []).kind == "queue"
            assert wait_reason(cluster, waiting, []).kind == "starting"
            check_namespace(cluster)
        paths = [one.path for one in api.asked if one.path.endswith(refused)]
        assert len(paths) == len(set(paths))

    def test_a_list_of_an_empty_namespace_asks_each_kind_once(
        self, api: Any, reply: Any, failure: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        no = failure(403, "Forbidden", 'User "eve" cannot list resource')
        api.before = lambda asked: reply(403, no) if not asked.path.endswith("/jobs") else None
        assert main(["jobs", "list", "--on", "kubernetes"]) == 0
        paths = [one.path for one in api.asked]
        assert len(paths) == len(set(paths))
        assert "No jobs in the namespace research." in capsys.readouterr().out


def test_a_server_that_comes_back_in_time_is_waited_for_by_all_requests(api: Any, cluster: Cluster) -> None:
    api.job("acme")
    cluster.get(cluster.jobs("acme"))
    api.restart(0.5)
    assert cluster.get(cluster.jobs("acme"))["metadata"]["name"] == "acme"
