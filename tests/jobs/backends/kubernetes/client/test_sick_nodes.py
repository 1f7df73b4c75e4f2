"""Nodes whose GPU failed: shown by ``status``, and avoided by a job that is created again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes_controllers import BATCH, PODS

from starfreight.cli import main
from starfreight.errors import GpuFault
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.follow import follow
from starfreight.jobs.backends.kubernetes.client.sick_nodes import (
    ANNOTATION_SICK,
    avoiding,
    fault_in,
    nodes_to_avoid,
)
from starfreight.jobs.backends.kubernetes.client.submit import resume
from starfreight.jobs.backends.kubernetes.client.targets import find_target
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered

ON = ("--on", "kubernetes")
ERROR = {
    "event": "error",
    "kind": "GpuFault",
    "what": "A GPU or its driver failed: CUDA error: uncorrectable ECC error encountered.",
    "where": "GPU-5c1b on acme-1",
    "next": "resume",
    "exit_code": 71,
}
AFFINITY = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")


def ended(message: str = json.dumps(ERROR), code: int = 71) -> dict[str, Any]:
    said = "half of a line\nTraceback ...\n" + message
    return {"terminated": {"exitCode": code, "startedAt": "2026-01-01T00:00:00Z", "message": said}}


def terms(pod: Any) -> Any:
    for key in AFFINITY:
        pod = pod.get(key, {})
    return pod


def failed_job(api: Any, controllers: Any, node: str, state: dict[str, Any]) -> None:
    """A Job that has used up its retries; its last pod ended on a node."""
    template = {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "train"}]}}
    api.job(
        "acme", spec={"template": template}, status={"conditions": [{"type": "Failed", "status": "True"}]}
    )
    api.pod("acme-1", "acme", state, "Failed")
    api.objects[f"{PODS}/acme-1"]["spec"]["nodeName"] = node


def test_a_resumed_job_avoids_the_node_and_the_one_of_the_time_before(
    api: Any, controllers: Any, cluster: Cluster, said: Any
) -> None:
    for node in ("gpu-7.example", "gpu-9"):
        failed_job(api, controllers, node, ended())
        if node == "gpu-9":
            api.objects[f"{BATCH}/acme"]["metadata"]["annotations"] = {ANNOTATION_SICK: "gpu-7.example"}
        resume(cluster, *find_target(cluster, "acme"), said)
        api.remove(f"{PODS}/acme-1") if f"{PODS}/acme-1" in api.objects else None
    (job,) = controllers.of(BATCH)
    assert job["metadata"]["annotations"][ANNOTATION_SICK] == "gpu-7.example,gpu-9"
    assert terms(job["spec"]["template"]["spec"]) == [
        {
            "matchFields": [
                {"key": "metadata.name", "operator": "NotIn", "values": [name]}
                for name in ("gpu-7.example", "gpu-9")
            ]
        }
    ]
    assert "its pods avoid gpu-7.example, gpu-9, where a GPU failed" in said.all


def test_a_job_that_failed_by_its_own_fault_avoids_nothing(
    api: Any, controllers: Any, cluster: Cluster, said: Any
) -> None:
    failed_job(api, controllers, "gpu-7", ended(code=1))
    resume(cluster, *find_target(cluster, "acme"), said)
    (job,) = controllers.of(BATCH)
    assert "affinity" not in job["spec"]["template"]["spec"]


@pytest.mark.parametrize("recipe", ["cpu", "sweep", "nodes-jobset", "nodes-trainer"])
def test_every_kind_of_job_gets_the_affinity_and_stays_valid(
    render_file: Callable[..., Rendered], recipe: str
) -> None:
    document = render_file(recipe).documents[-1]
    before = json.dumps(document)
    made = avoiding(document, ["gpu-7"])
    assert json.dumps(document) == before
    assert '"NotIn", "values": ["gpu-7"]' in json.dumps(made)
    assert made["metadata"]["annotations"][ANNOTATION_SICK] == "gpu-7"
    assert avoiding(made, ["gpu-7"]) == made
    if made["kind"] == "Job":
        import kubernetes_validate

        kubernetes_validate.validate(made, "1.28", strict=True)


def test_the_recipes_own_affinity_stays_and_each_of_its_choices_gets_the_condition() -> None:
    zones = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]} for zone in "ab"]
    given: Any = {"nodeSelectorTerms": zones}
    for key in reversed(AFFINITY[:-1]):
        given = {key: given}
    job = {"kind": "Job", "metadata": {"name": "a"}, "spec": {"template": {"spec": given}}}
    made = terms(avoiding(job, ["n1", "n2"])["spec"]["template"]["spec"])
    assert [term["matchExpressions"] for term in made] == [term["matchExpressions"] for term in zones]
    assert all(len(term["matchFields"]) == 2 for term in made)


@pytest.mark.parametrize("noted", ["", "A B", "n1,,n2,../x", "x" * 500])
def test_an_annotation_that_others_wrote_gives_valid_names_only(noted: str) -> None:
    job = {"metadata": {"annotations": {ANNOTATION_SICK: noted}}}
    assert nodes_to_avoid((), job) == (["n1", "n2"] if "n1" in noted else [])


def test_status_shows_the_node_the_gpu_and_the_words(
    api: Any, controllers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failed_job(api, controllers, "gpu-7", ended())
    assert main(["jobs", "status", "acme", *ON]) == 0
    out = capsys.readouterr().out
    assert "failed because of a GPU (exit code 71) while training, on gpu-7" in out
    assert "uncorrectable ECC error encountered. (GPU-5c1b on acme-1)" in out
    assert main(["jobs", "status", "acme", *ON, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["sick_nodes"] == ["gpu-7"]
    assert data["pods_now"][0]["gpu_fault"].startswith("A GPU or its driver failed")


@pytest.mark.parametrize(
    "message", ["", "{", '{"event": "error"', '{"event": "error", "what": "x\\u001b[31m"}']
)
def test_a_pod_with_other_last_words_is_read_all_the_same(message: str) -> None:
    pod = {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n1", "containers": [{"name": "train"}]},
        "status": {"containerStatuses": [{"name": "train", "state": ended(message)}]},
    }
    found = fault_in(pod)
    assert found is not None
    assert found.node == "n1"
    assert "\x1b" not in found.words


def test_a_follower_ends_with_the_error(api: Any, controllers: Any, cluster: Cluster, said: Any) -> None:
    failed_job(api, controllers, "gpu-7", ended())
    with pytest.raises(GpuFault, match="because of a GPU"):
        follow(cluster, find_target(cluster, "acme")[0], said)
