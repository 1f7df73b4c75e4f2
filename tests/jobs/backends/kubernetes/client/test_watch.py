from __future__ import annotations

import json
from typing import Any

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.watch import PAGE, changes, list_all


def event(kind: str, name: str, version: int, **more: Any) -> bytes:
    found = {"metadata": {"name": name, "namespace": "research", "resourceVersion": str(version)}, **more}
    return json.dumps({"type": kind, "object": found}).encode() + b"\n"


def watches(api: Any) -> list[Any]:
    return [one for one in api.asked if "watch" in one.query]


class TestLists:
    def test_a_thousand_jobs_come_page_by_page(self, api: Any, cluster: Cluster) -> None:
        for number in range(1000):
            api.job(f"job-{number}")
        found = list_all(cluster, cluster.jobs())
        assert len(found) == 1000
        assert [one.query["limit"] for one in api.asked] == [str(PAGE)] * (1000 // PAGE)

    def test_a_list_that_the_server_forgot_goes_on_from_what_it_offers(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        for number in range(2 * PAGE):
            api.job(f"job-{number}")
        offered = failure(410, "Expired", "too old", metadata={"continue": f"0{PAGE}"})

        def forget_once(asked: Any) -> Any:
            return reply(410, offered) if "continue" in asked.query and len(api.asked) == 2 else None

        api.before = forget_once
        assert len(list_all(cluster, cluster.jobs())) == 2 * PAGE
        assert [one.query.get("continue") for one in api.asked] == [None, str(PAGE), f"0{PAGE}"]

    def test_a_list_that_the_server_forgot_begins_again_when_it_offers_nothing(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        for number in range(2 * PAGE):
            api.job(f"job-{number}")
        forgotten = failure(410, "Expired", "too old")
        api.before = lambda asked: reply(410, forgotten) if len(api.asked) == 2 else None
        names = [one["metadata"]["name"] for one in list_all(cluster, cluster.jobs())]
        assert len(names) == len(set(names)) == 2 * PAGE


class TestWatches:
    def test_a_thousand_jobs_take_one_watch(self, api: Any, cluster: Cluster, reply: Any) -> None:
        for number in range(1000):
            api.job(f"job-{number}")
        pieces = [event("MODIFIED", f"job-{number}", 2000 + number) for number in range(1000)]
        api.before = lambda asked: reply(pieces=pieces) if "watch" in asked.query else None
        seen: list[Any] = []
        for change in changes(cluster, cluster.jobs(), until=lambda: len(seen) == 2001):
            seen.append(change)
        assert len(seen) == 2001
        assert seen[1000] is None
        assert len(watches(api)) == 1
        assert watches(api)[0].query["resourceVersion"] == "1000"

    def test_a_watch_that_broke_off_goes_on_where_it_was(
        self, api: Any, cluster: Cluster, reply: Any
    ) -> None:
        half = event("ADDED", "b", 1002)[:25]

        def answer(asked: Any) -> Any:
            if "watch" not in asked.query:
                return None
            if asked.query["resourceVersion"] == "1000":
                return reply(pieces=[event("ADDED", "a", 1001), half], cut=True)
            return reply(pieces=[event("ADDED", "b", 1002)])

        api.before = answer
        names = self._names(cluster, 2)
        assert names == ["a", "b"]
        assert [one.query["resourceVersion"] for one in watches(api)] == ["1000", "1001"]

    def test_bookmarks_move_the_place_to_go_on_from(self, api: Any, cluster: Cluster, reply: Any) -> None:
        def answer(asked: Any) -> Any:
            if "watch" not in asked.query:
                return None
            if asked.query["resourceVersion"] == "1000":
                return reply(pieces=[event("BOOKMARK", "", 1500)])
            return reply(pieces=[event("ADDED", "a", 1501)])

        api.before = answer
        assert self._names(cluster, 1) == ["a"]
        assert watches(api)[1].query["resourceVersion"] == "1500"

    def test_after_410_gone_only_what_is_different_comes_again(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        for name in ("same", "changed", "gone"):
            api.job(name)

        def answer(asked: Any) -> Any:
            if "watch" not in asked.query or len(watches(api)) > 1:
                return None
            del api.objects[f"{asked.path}/gone"]
            api.job("changed")
            api.job("new")
            gone = {"type": "ERROR", "object": failure(410, "Expired", "too old resource version")}
            return reply(pieces=[json.dumps(gone).encode() + b"\n"])

        api.before = answer
        kinds = []
        for change in changes(cluster, cluster.jobs(), until=lambda: len(kinds) == 6):
            if change is not None:
                kinds.append((change.kind, change.object["metadata"]["name"]))
        assert kinds[:3] == [("ADDED", "same"), ("ADDED", "changed"), ("ADDED", "gone")]
        assert sorted(kinds[3:]) == [("ADDED", "new"), ("DELETED", "gone"), ("MODIFIED", "changed")]

    def test_a_server_that_answers_410_to_the_request_is_listed_again(
        self, api: Any, cluster: Cluster, reply: Any, failure: Any
    ) -> None:
        def answer(asked: Any) -> Any:
            if "watch" not in asked.query:
                return None
            if len(watches(api)) == 1:
                api.job("late")
                return reply(410, failure(410, "Expired", "too old"))
            return None

        api.before = answer
        assert self._names(cluster, 1) == ["late"]

    def _names(self, cluster: Cluster, count: int) -> list[str]:
        names: list[str] = []
        for change in changes(cluster, cluster.jobs(), until=lambda: len(names) == count):
            if change is not None:
                names.append(change.object["metadata"]["name"])
        return names
