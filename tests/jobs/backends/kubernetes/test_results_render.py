"""Manifests of jobs with ``run.kubernetes.results``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered

Render = Callable[..., Rendered]
ADDRESS = "oci://registry.example/acme/runs"


@pytest.fixture
def render_with(write_job: Callable[..., Path], render_file: Render) -> Callable[..., dict[str, Any]]:
    """Renders a job with options of the cluster, and returns its last object."""

    def render(base: str = '{model: "builtin:starter"}', **options: Any) -> dict[str, Any]:
        run = {"gpus": 0, "image": "registry.example/t@sha256:" + "0a" * 32, "kubernetes": options}
        if base != '{model: "builtin:starter"}':
            run["memory"] = "8GB"
        rendered = render_file(
            write_job(base=base, run=yaml.safe_dump(run, default_flow_style=True, width=10**6))
        )
        return rendered.documents[-1]

    return render


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def volume(job: dict[str, Any], name: str) -> Any:
    return {one["name"]: one for one in pod_of(job)["volumes"]}.get(name)


def test_without_results_nothing_changes(render_with: Callable[..., dict[str, Any]]) -> None:
    job = render_with()
    assert volume(job, "runs") == {"name": "runs", "persistentVolumeClaim": {"claimName": "starfreight-runs"}}
    assert "dev.starfreight/results" not in job["metadata"]["annotations"]


def test_no_volume_is_needed_unless_the_recipe_names_one(
    render_with: Callable[..., dict[str, Any]], validate_manifest: Callable[..., None]
) -> None:
    job = render_with(results=ADDRESS, ephemeral_storage="10GiB")
    validate_manifest(job)
    assert volume(job, "runs") == {"name": "runs", "emptyDir": {"sizeLimit": "10Gi"}}
    job = render_with(results=ADDRESS, runs_claim="starfreight-runs")
    assert volume(job, "runs")["persistentVolumeClaim"] == {"claimName": "starfreight-runs"}
    assert job["spec"]["template"]["metadata"]["labels"]["dev.starfreight/reach-registry"] == "true"


def test_the_disk_is_planned_with_the_checkpoints(render_with: Callable[..., dict[str, Any]]) -> None:
    def disk(**options: Any) -> str:
        (step, *_) = pod_of(render_with(**options))["containers"]
        return str(step["resources"]["limits"]["ephemeral-storage"])

    assert disk() == "2Gi"
    assert disk(results=ADDRESS, runs_claim="runs") == "2Gi"
    assert disk(results=ADDRESS).endswith("Mi") and int(disk(results=ADDRESS).removesuffix("Mi")) > 4096


def test_a_stopped_pod_has_time_to_send(render_with: Callable[..., dict[str, Any]]) -> None:
    def grace(**options: Any) -> int:
        return int(pod_of(render_with(**options))["terminationGracePeriodSeconds"])

    assert grace(results=ADDRESS) == grace() + 120
    assert grace(results=ADDRESS, checkpoint_grace="3m") == 180


@pytest.mark.parametrize(
    ("options", "secret"),
    [
        ({"push_secret": "push"}, "push"),
        ({"push_secret": "push", "results_secret": "own"}, "own"),
        ({}, None),
    ],
)
def test_a_registry_s_secret_is_mounted(
    render_with: Callable[..., dict[str, Any]], options: dict[str, str], secret: str | None
) -> None:
    job = render_with(results=ADDRESS, **options)
    mounted = volume(job, "results")
    assert (mounted and mounted["secret"]["secretName"]) == secret


def test_a_storage_s_secret_is_the_environment(render_with: Callable[..., dict[str, Any]]) -> None:
    job = render_with(results="s3://bucket/runs", results_secret="s3", push_secret="push")
    (step,) = pod_of(job)["containers"]
    assert step["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert volume(job, "results") is None
    (step,) = pod_of(render_with(results="gs://bucket/runs"))["containers"]
    assert "envFrom" not in step  # The identity of the pod.


def test_several_nodes_need_a_volume(render_with: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(RecipeError, match="from one volume"):
        render_with(results=ADDRESS, nodes=2)
    job = render_with(results=ADDRESS, nodes=2, runs_claim="shared", push_secret="push")
    assert "/run/secrets/starfreight/results" in yaml.safe_dump(job)
    assert job["metadata"]["annotations"]["dev.starfreight/results"] == ADDRESS


def test_a_train_job_gets_a_registry_s_secret_but_no_environment_of_a_secret(
    render_with: Callable[..., dict[str, Any]],
) -> None:
    options = {"nodes": 2, "engine": "trainer", "runs_claim": "shared"}
    text = yaml.safe_dump(render_with(results=ADDRESS, push_secret="push", **options))
    assert "secretName: push" in text
    assert "DOCKER_CONFIG" in text
    with pytest.raises(RecipeError, match="variables of a Secret"):
        render_with(results="s3://bucket/runs", results_secret="s3", **options)


def test_the_size_of_an_unknown_base_model_is_asked_for(render_with: Callable[..., dict[str, Any]]) -> None:
    base = "{model: ./mine, license: MIT}"
    with pytest.raises(RecipeError) as error:
        render_with(base=base, results=ADDRESS, data_claim="data")
    assert "ephemeral_storage" in str(error.value)
    render_with(base=base, results=ADDRESS, data_claim="data", ephemeral_storage="20GB")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runs_claim": None}, "neither a runs_claim nor results"),
        ({"results_secret": "own"}, "a results_secret but no results"),
        ({"results": "https://host/x"}, "unknown scheme"),
        ({"results": "oci://user:hunter2@host/x"}, "a user name or a password"),
        ({"results": "oci://host/x:tag"}, "no valid host or path"),
    ],
)
def test_what_cannot_be_meant_is_an_error_of_the_recipe(
    render_with: Callable[..., dict[str, Any]], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as error:
        render_with(**options)
    assert "hunter2" not in str(error.value)
