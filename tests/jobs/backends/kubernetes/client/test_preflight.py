"""Objects of the cluster that a job refers to are looked at before it is submitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes_controllers import BATCH, JOB_SETS

from starfreight.cli import main

CLAIM = "/api/v1/namespaces/research/persistentvolumeclaims/starfreight-runs"
PRIORITY = "/apis/scheduling.k8s.io/v1/priorityclasses/batch"
IMAGE = f"registry.example/starfreight/trainer@sha256:{'0' * 64}"
TWO = "sweep: {training.rank: [4, 8]}"


@pytest.fixture
def submit(
    write_job: Callable[..., Path], controllers: Any, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Submits a recipe with settings of the cluster; returns the exit code and the messages."""

    def run(more: str = "", **kubernetes: Any) -> tuple[int, str]:
        settings = {"where": "kubernetes", "gpus": 0, "image": IMAGE, "kubernetes": kubernetes}
        recipe = write_job(name="acme", run=json.dumps(settings), more=more)
        code = main(["jobs", "run", str(recipe), "--detach"])
        return code, capsys.readouterr().err

    return run


def claim(*modes: str) -> dict[str, Any]:
    return {"spec": {"accessModes": list(modes)}}


def test_a_missing_volume_is_said_and_does_not_stop(submit: Any, controllers: Any) -> None:
    code, said = submit()
    assert code == 0 and len(controllers.of(BATCH)) == 1
    assert "no PersistentVolumeClaim 'starfreight-runs' (run.kubernetes.runs_claim)" in said


@pytest.mark.parametrize(
    ("modes", "more", "warned"),
    [
        (["ReadWriteOnce"], TWO, True),
        (["ReadWriteOncePod"], TWO, True),
        (["ReadWriteOnce"], "", False),
        (["ReadWriteMany"], TWO, False),
        (["ReadWriteOnce", "ReadWriteMany"], TWO, False),
    ],
)
def test_pods_that_a_volume_keeps_apart_are_warned_of(
    modes: list[str], more: str, warned: bool, submit: Any, api: Any
) -> None:
    api.objects[CLAIM] = claim(*modes)
    code, said = submit(more)
    assert code == 0
    assert ("can be mounted by one node at a time" in said) == warned


def test_who_may_not_read_volumes_is_told_nothing(submit: Any, api: Any, reply: Any, failure: Any) -> None:
    api.before = lambda asked: (
        reply(403, failure(403, "Forbidden", "no")) if asked.path in (CLAIM, PRIORITY) else None
    )
    code, said = submit(TWO, priority_class="batch")
    assert code == 0 and "Warning" not in said


def test_an_unknown_priority_class_is_refused(submit: Any, controllers: Any) -> None:
    code, said = submit(priority_class="batch")
    assert code == 2 and "no PriorityClass 'batch'" in said
    assert controllers.of(BATCH) == []


@pytest.mark.parametrize(("nodes", "value", "code"), [(2, -10, 2), (2, 0, 0), (1, -10, 0)])
def test_a_negative_priority_is_refused_where_jobset_would_lose_the_pods(
    nodes: int, value: int, code: int, submit: Any, api: Any, controllers: Any
) -> None:
    api.objects[CLAIM] = claim("ReadWriteMany")
    api.objects[PRIORITY] = {"metadata": {"name": "batch"}, "value": value}
    more = "training: {gradient_accumulation: 2}"
    found, said = submit(more, priority_class="batch", nodes=nodes)
    assert found == code, said
    if code:
        assert "negative value -10, which JobSet cannot use" in said
        assert controllers.of(JOB_SETS) == []
