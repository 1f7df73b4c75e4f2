"""What a job reports, as Events of its object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes_controllers import BATCH, EVENTS, PODS

from starfreight.cli import main

ON = ("--on", "kubernetes")
LABELS = {"app.kubernetes.io/name": "starfreight", "dev.starfreight/run": "acme"}
REPORTED: list[dict[str, Any]] = [
    {"event": "run", "id": "acme-0123456789"},
    {"event": "step", "step": 1, "loss": 2.0, "tokens_per_second": 10.0},
    {"event": "checkpoint", "step": 3},
    {"event": "checkpoint", "step": 6},
    {"event": "measured", "when": "after", "loss": 1.5, "exact_match": None},
]


@pytest.fixture
def done_job(api: Any, controllers: Any) -> str:
    """A finished job, and its pod's output."""
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "train"}]}}
    job = {"metadata": {"labels": LABELS}, "spec": {"template": template}, "status": {}}
    controllers.start(f"{BATCH}/acme", **job)
    (pod,) = (one["metadata"]["name"] for one in controllers.of(PODS))
    controllers.say(pod, *(json.dumps(event) for event in REPORTED))
    controllers.end(pod, 0)
    api.objects[f"{BATCH}/acme"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    return str(pod)


def test_they_are_recorded_once_however_often_the_output_is_read(
    api: Any, controllers: Any, done_job: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["jobs", "logs", "-f", "acme", *ON, "--events"]) == 0
    shown = capsys.readouterr()
    assert "checkpoint of step 6 written" in shown.out
    assert shown.err == ""
    events = controllers.of(EVENTS)
    assert sorted(event["reason"] for event in events) == [
        "Checkpoint", "Checkpoint", "Evaluated", "Finished", "Prepared",
    ]  # fmt: skip
    job = api.objects[f"{BATCH}/acme"]
    for event in events:
        assert event["involvedObject"]["uid"] == job["metadata"]["uid"]
        assert (event["involvedObject"]["apiVersion"], event["involvedObject"]["kind"]) == ("batch/v1", "Job")
        assert event["type"] == "Normal"
        import kubernetes_validate

        kubernetes_validate.validate(event, "1.28", strict=True)


def test_a_user_without_the_right_gets_the_output_and_one_note(
    api: Any, controllers: Any, done_job: str, reply: Any, failure: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    no = failure(403, "Forbidden", 'User "eve" cannot create resource "events" in the namespace "research"')
    refuse = lambda asked: reply(403, no) if asked.method == "POST" else None  # noqa: E731
    api.before = refuse
    assert main(["jobs", "logs", "acme", *ON, "--events"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == len(REPORTED)
    assert shown.err.count("No Events are recorded") == 1


def test_by_default_nothing_is_recorded(api: Any, controllers: Any, done_job: str) -> None:
    assert main(["jobs", "logs", "acme", *ON]) == 0
    assert controllers.of(EVENTS) == []


def test_they_need_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "logs", "acme", "--events"]) == 2
    assert "--on kubernetes" in capsys.readouterr().err


def test_a_long_message_is_cut_to_what_the_api_allows(api: Any, controllers: Any, done_job: str) -> None:
    error = {"event": "error", "kind": "JobFailed", "what": "x" * 3000}
    controllers.say(done_job, json.dumps(error))
    assert main(["jobs", "logs", "acme", *ON, "--events"]) == 0
    (event,) = (one for one in controllers.of(EVENTS) if one["reason"] == "JobReport")
    assert len(event["message"]) == 1024
