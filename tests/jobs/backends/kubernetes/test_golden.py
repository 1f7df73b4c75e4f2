"""Each recipe in ``recipes`` is rendered to the bytes of its file in ``golden``.

After an intended change:

    STARFREIGHT_UPDATE_GOLDEN=1 pytest tests/jobs/backends/kubernetes/test_golden.py

and read the diff before committing it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from starfreight.files import sha256_bytes
from starfreight.jobs.backends.kubernetes import entrypoint
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered
from starfreight.jobs.backends.kubernetes.manifests.templates import FOLDER
from starfreight.recipe import load_recipe, recipe_digest, validate_recipe
from starfreight.recipe.yaml import parse_yaml

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
CASES = [
    ("cpu", "1.37"), ("cpu", "1.28"), ("cpu", "1.20"), ("publish", "1.37"),
    ("sweep", "1.37"), ("sweep", "1.28"), ("sweep", "1.20"),
    ("registry", "1.37"), ("registry", "1.34"), ("nodes-jobset", "1.37"), ("nodes-trainer", "1.37"),
    ("results", "1.37"), ("results-sweep", "1.37"), ("results-sweep", "1.20"),
    ("evaluate", "1.37"), ("evaluate-registry", "1.37"),
]  # fmt: skip


def _without_digests(rendered: Rendered) -> str:
    """Replaces the recipe's digest, which changes with every new key of recipes, unlike the golden files."""
    text = rendered.as_yaml()
    digest = rendered.documents[0]["metadata"]["annotations"]["dev.starfreight/recipe-digest"]
    shown = "sha256:" + "1d" * 32
    text = text.replace(digest, shown).replace(digest.removeprefix("sha256:")[:32], "1d" * 16)
    name = rendered.name
    return text.replace(name, re.sub("[0-9a-f]{10}$", "0123456789", name))


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_recipe_is_rendered_as_before(
    name: str, version: str, render_file: Callable[..., Rendered]
) -> None:
    text = _without_digests(render_file(name, version))
    path = GOLDEN / f"{name}-{version}.yaml"
    if os.environ.get("STARFREIGHT_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "see the top of this file"


@pytest.mark.parametrize(("name", "version"), CASES)
def test_what_is_rendered_is_what_a_server_of_that_version_and_all_newer_ones_know(
    name: str, version: str, render_file: Callable[..., Rendered], validate_manifest: Callable[..., None]
) -> None:
    rendered = render_file(name, version)
    minor = int(version.partition(".")[2])
    for document in yaml.safe_load_all(rendered.as_yaml()):
        validate_manifest(document, [f"1.{newer}" for newer in range(max(25, minor), 38)])


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES} - {"registry"}))
def test_what_is_rendered_for_the_newest_server_has_no_field_that_1_28_does_not_have(
    name: str, render_file: Callable[..., Rendered], validate_manifest: Callable[..., None]
) -> None:
    for document in render_file(name).documents:
        validate_manifest(document)


def test_the_templates_can_be_applied_as_they_are_and_lie_where_people_look_for_them(
    validate_manifest: Callable[..., None],
) -> None:
    folder = HERE.parents[3] / "kubernetes/job"
    assert folder.resolve() == FOLDER.resolve()
    for name in ("recipe", "job"):
        validate_manifest(yaml.safe_load((folder / f"{name}.yaml").read_text()))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert validate_recipe(parse_yaml(recipe["data"]["recipe.yaml"], "the template"), "the template")
    job = yaml.safe_load((folder / "job.yaml").read_text())
    (volume,) = (one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "recipe")
    assert volume["configMap"]["name"] == recipe["metadata"]["name"]
    arguments = job["spec"]["template"]["spec"]["initContainers"][0]["args"]
    assert arguments[:4] == ["python", "-P", "-m", entrypoint.__name__]
    assert entrypoint._options(arguments[4:]).kind == "train"


def test_there_is_no_golden_file_without_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}-{version}.yaml" for name, version in CASES}


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_two_renderings_are_the_same_bytes(name: str, render_file: Callable[..., Rendered]) -> None:
    assert render_file(name).as_yaml() == render_file(name).as_yaml()


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_the_recipe_in_the_config_map_is_the_recipe_but_for_what_the_pod_is_told(
    name: str, render_file: Callable[..., Rendered], tmp_path: Path
) -> None:
    config_map = render_file(name).documents[0]
    text = config_map["data"]["recipe.yaml"]
    (tmp_path / "recipe.yaml").write_text(text)
    there, here = (
        load_recipe(tmp_path / "recipe.yaml").recipe,
        load_recipe(HERE / f"recipes/{name}.yaml").recipe,
    )
    assert recipe_digest(there.model_copy(update={"run": here.run})) == recipe_digest(here)
    assert there.run.kubernetes == here.run.kubernetes
    assert there.run.time_limit is None  # The Job keeps it.
    assert config_map["metadata"]["name"].endswith(sha256_bytes(text.encode())[7:17])
    assert config_map["immutable"] is True
    assert parse_yaml(text, "text")["name"] == here.name
