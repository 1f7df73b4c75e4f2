from __future__ import annotations

import threading
from typing import Any

import pytest

from starfreight.errors import ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.container_log import Cursor
from starfreight.jobs.backends.kubernetes.client.logs import log_lines
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target

TARGET = Target(JOB, "acme")
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "startedAt": "2026-01-01T00:00:00Z"}}
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1}


def line(second: int, nano: int, text: str) -> bytes:
    return f"2026-01-01T00:00:{second:02}.{nano:09}Z {text}\n".encode()


LOG = [line(1, 1, "a"), line(1, 1, "b"), line(1, 2, "c"), line(2, 1, "d"), line(3, 5, "e"), line(3, 4, "f")]


def since(lines: list[bytes], asked: Any) -> list[bytes]:
    """The lines from a second on, as a kubelet returns them."""
    begin = asked.query.get("sinceTime", "")[:19].encode()
    return [one for one in lines if one[:19] >= begin]


class TestFollowing:
    @pytest.mark.parametrize("seen", range(7))
    def test_each_line_comes_once_wherever_the_connection_breaks(
        self, api: Any, cluster: Cluster, reply: Any, seen: int
    ) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)
        logs = []

        def answer(asked: Any) -> Any:
            if not asked.path.endswith("/log"):
                return None
            logs.append(asked)
            if len(logs) == 1:
                half = [LOG[seen][:-3]] if seen < len(LOG) else []
                return reply(pieces=[*LOG[:seen], *half], cut=True)
            api.pod("acme-1", "acme", DONE, "Succeeded")
            api.job("acme", status=COMPLETE)
            return reply(pieces=since(LOG, asked))

        api.before = answer
        found = [one.text for one in log_lines(cluster, TARGET, follow=True)]
        assert found == ["a", "b", "c", "d", "e", "f"]
        assert len(logs) >= 2

    def test_continues_with_the_pod_that_replaces_an_evicted_one(
        self, api: Any, cluster: Cluster, reply: Any
    ) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)

        def answer(asked: Any) -> Any:
            if asked.path.endswith("/acme-1/log"):
                failed = {"terminated": {"exitCode": 75, "startedAt": "2026-01-01T00:00:00Z"}}
                api.pod("acme-1", "acme", failed, "Failed")
                api.pod("acme-2", "acme", RUNNING, metadata={"creationTimestamp": "2026-01-01T00:01:00Z",
                                                              "labels": {"job-name": "acme"}})  # fmt: skip
                return reply(pieces=since([line(1, 0, "first")], asked))
            if asked.path.endswith("/acme-2/log"):
                api.pod("acme-2", "acme", DONE, "Succeeded")
                api.job("acme", status=COMPLETE)
                return reply(pieces=since([line(9, 0, "second")], asked))
            return None

        api.before = answer
        found = [(one.pod, one.text) for one in log_lines(cluster, TARGET, follow=True)]
        assert found == [("acme-1", "first"), ("acme-2", "second")]

    def test_comes_back_when_the_server_was_away(self, api: Any, cluster: Cluster, reply: Any) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)
        logs = []

        def answer(asked: Any) -> Any:
            if not asked.path.endswith("/log"):
                return None
            logs.append(asked)
            if len(logs) == 1:
                threading.Thread(target=api.stop).start()
                threading.Timer(1.0, api.start).start()
                return reply(pieces=LOG[:2], cut=True)
            api.pod("acme-1", "acme", DONE, "Succeeded")
            api.job("acme", status=COMPLETE)
            return reply(pieces=since(LOG, asked))

        api.before = answer
        assert [one.text for one in log_lines(cluster, TARGET, follow=True)] == list("abcdef")

    def test_a_pod_that_is_deleted_ends_its_log(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)

        def answer(asked: Any) -> Any:
            if not asked.path.endswith("/log"):
                return None
            del api.objects["/api/v1/namespaces/research/pods/acme-1"]
            del api.objects["/apis/batch/v1/namespaces/research/jobs/acme"]
            return reply(404, failure(404, "NotFound", "gone"))

        api.before = answer
        assert list(log_lines(cluster, TARGET, follow=True)) == []

    def test_who_may_not_read_logs_is_told(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)
        said = 'User "eve" cannot get resource "pods/log" in API group ""'
        api.before = lambda asked: (
            reply(403, failure(403, "Forbidden", said)) if asked.path.endswith("/log") else None
        )
        with pytest.raises(ServiceError, match="may not read pods/log"):
            list(log_lines(cluster, TARGET, follow=True))


class TestReading:
    def test_a_line_of_many_megabytes_is_an_error_and_not_memory(
        self, api: Any, cluster: Cluster, reply: Any
    ) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", DONE, "Succeeded")
        endless = (b"x" * (1 << 20) for _ in range(64))
        api.before = lambda asked: reply(pieces=endless) if asked.path.endswith("/log") else None
        with pytest.raises(ServiceError, match="longer than"):
            list(log_lines(cluster, TARGET, follow=False))

    def test_steps_come_in_the_order_in_which_they_run(self, api: Any, cluster: Cluster, reply: Any) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", DONE, "Succeeded", initContainerStatuses=[{"name": "fetch", "state": DONE}])
        pod = api.objects["/api/v1/namespaces/research/pods/acme-1"]
        pod["spec"]["initContainers"] = [{"name": "fetch"}]
        api.before = lambda asked: (
            reply(pieces=[line(1, 0, asked.query["container"])]) if asked.path.endswith("/log") else None
        )
        assert [one.text for one in log_lines(cluster, TARGET, follow=False)] == ["fetch", "train"]

    def test_times_of_another_zone_are_the_same_times(self) -> None:
        cursor = Cursor()
        assert cursor.take(b"2026-01-01T02:00:05.5+02:00 x") == "x"
        assert cursor.begin() == {"sinceTime": "2026-01-01T00:00:05Z"}
