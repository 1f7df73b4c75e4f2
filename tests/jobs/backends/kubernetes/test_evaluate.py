"""Evaluations in a cluster: the model on the volume of runs or in a registry, and no network for its code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.errors import RecipeError, StarfreightError
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_REACH_REGISTRY
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered

RECIPES = Path(__file__).with_name("recipes")
Render = Callable[..., Rendered]


def pod_of(rendered: Rendered) -> dict[str, Any]:
    """The pod of the only job, with its labels."""
    (job,) = (each for each in rendered.documents if each["kind"] == "Job")
    template: dict[str, Any] = job["spec"]["template"]
    return template


def recipe_of(rendered: Rendered) -> dict[str, Any]:
    """The recipe that the pod reads."""
    found: dict[str, Any] = yaml.safe_load(rendered.documents[0]["data"]["recipe.yaml"])
    return found


def changed(tmp_path: Path, name: str = "evaluate", **parts: Any) -> Path:
    """A recipe of this directory with other parts."""
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    for key, value in parts.items():
        recipe[key] = {**recipe[key], **value} if isinstance(value, dict) else value
    path = tmp_path / "evaluate.yaml"
    path.write_text(json.dumps(recipe))
    return path


def test_a_package_on_the_volume_is_evaluated_without_a_network_or_a_token(render_file: Render) -> None:
    rendered = render_file("evaluate")
    template = pod_of(rendered)
    pod = template["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert LABEL_REACH_REGISTRY not in template["metadata"]["labels"]
    (container,) = pod["containers"]
    assert container["name"] == "evaluate"
    assert "initContainers" not in pod
    assert container["args"][3:5] == ["starfreight.jobs.backends.kubernetes.entrypoint", "evaluate"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    # The sandbox writes there: it is small and in memory.
    (shared,) = (each for each in pod["volumes"] if each["name"] == "shm")
    assert shared["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}
    assert recipe_of(rendered)["evaluate"]["model"] == "/runs/packages/tiny-0123456789"


def test_a_package_in_a_registry_is_fetched_by_a_step_of_its_own(render_file: Render) -> None:
    rendered = render_file("evaluate-registry")
    template = pod_of(rendered)
    (fetch,) = template["spec"]["initContainers"]
    place = f"/runs/packages/{rendered.name}"
    assert fetch["args"] == ["starfreight", "package", "pull", "registry.example/acme/tiny:1.0", place]
    assert recipe_of(rendered)["evaluate"]["model"] == place
    assert template["metadata"]["labels"][LABEL_REACH_REGISTRY] == "true"
    (container,) = template["spec"]["containers"]
    mounted = {mount["name"] for mount in fetch["volumeMounts"]} - {
        mount["name"] for mount in container["volumeMounts"]
    }
    assert mounted == {"pull"}


def test_other_suites_and_models_are_other_jobs(render_file: Render, tmp_path: Path) -> None:
    names = {
        render_file("evaluate").name,
        render_file(changed(tmp_path, evaluate={"model": "packages/other"})).name,
        render_file(changed(tmp_path, evaluate={"suites": {"speed": {}}})).name,
    }
    assert len(names) == 3


def test_the_memory_follows_the_size_of_the_model(render_file: Render, tmp_path: Path) -> None:
    model = tmp_path / "packages" / "large.gguf"
    model.parent.mkdir()
    with model.open("wb") as file:
        file.truncate(5 << 30)
    path = changed(tmp_path, evaluate={"model": "packages/large.gguf"}, run={"memory": None})
    memory = pod_of(render_file(path))["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert memory == "8448Mi"
    model.unlink()
    with pytest.raises(RecipeError, match="size of the model is unknown"):
        render_file(path)


@pytest.mark.parametrize(
    "model",
    ["../elsewhere", "/etc/passwd", "packages/../../x", "packages/$(HOME)", "oci://registry.example/UPPER:1",
     "http://localhost:11434", "oci://user:secret@registry.example/acme/tiny:1.0"],
)  # fmt: skip
def test_a_model_that_a_pod_cannot_read_is_refused(render_file: Render, tmp_path: Path, model: str) -> None:
    with pytest.raises(StarfreightError) as refused:
        render_file(changed(tmp_path, evaluate={"model": model}))
    assert refused.value.exit_code == 2
    assert "user:secret" not in str(refused.value)


def test_a_recipe_without_a_model_is_refused(render_file: Render, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="names no model"):
        render_file(changed(tmp_path, evaluate={"model": None}))


def test_a_pod_does_not_publish_what_has_to_be_measured_first(render_file: Render, tmp_path: Path) -> None:
    recipe = yaml.safe_load((RECIPES / "publish.yaml").read_text())
    rule = {"suite": "humaneval", "figure": "pass@1", "at_least": 0.1}
    recipe.setdefault("package", {})["quality"] = [rule]
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    with pytest.raises(RecipeError, match="would not be checked"):
        render_file(path)
    recipe["run"]["kubernetes"]["until"] = "package"
    path.write_text(json.dumps(recipe))
    assert pod_of(render_file(path))["spec"]["containers"][0]["name"] == "package"


def test_the_command_renders_it() -> None:
    words = [sys.executable, "-P", "-m", "starfreight", "jobs", "render", str(RECIPES / "evaluate.yaml")]
    done = subprocess.run(
        [*words, "--kind", "evaluate", "--json"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    labels = json.loads(done.stdout)["documents"][1]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "evaluation"
    assert subprocess.run([*words, "--kind", "dance"], capture_output=True, timeout=120).returncode == 2
