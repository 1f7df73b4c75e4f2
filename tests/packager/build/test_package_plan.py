"""The plan of a package, and its checks against the base model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import ModelShape, open_checkpoint
from starfreight.commands.publish_checks import check_references
from starfreight.errors import InputError, RecipeError
from starfreight.jobs.prepare.check_training import check_recipe
from starfreight.packager.build.package_plan import plan_package
from starfreight.recipe import Recipe, validate_recipe


@pytest.fixture
def shape(make_checkpoint: Callable[..., Path], tmp_path: Path) -> ModelShape:
    """Of a small model with a context of 256 tokens and a sliding window of 128."""
    return dataclasses.replace(open_checkpoint(make_checkpoint(tmp_path / "base")).shape, sliding_window=128)


def recipe(**parameters: Any) -> Recipe:
    return validate_recipe(
        {
            "version": 1,
            "name": "t",
            "base": {"model": "./base", "license": "MIT"},
            "data": [{"source": "./src"}],
            "training": {"sequence_length": 64},
            "package": {"parameters": parameters},
        },
        "recipe",
    )


def test_parameters_without_the_expected_effect_are_noted(shape: ModelShape) -> None:
    assert plan_package(recipe(num_ctx=128, top_k=5), shape, 1).notes == ()
    removed, beyond = plan_package(recipe(num_ctx=129, mirostat=1), shape, 1).notes
    assert "mirostat" in removed
    assert "sliding window 128" in beyond


def test_a_context_longer_than_the_models_is_refused_before_training(
    shape: ModelShape, tmp_path: Path
) -> None:
    check_recipe(recipe(num_ctx=256), shape, "MIT", None, tmp_path, ship=True)
    with pytest.raises(RecipeError, match="reads 256 tokens at most; num_ctx is 257"):
        check_recipe(recipe(num_ctx=257), shape, "MIT", None, tmp_path, ship=True)


def published(reference: str, **publish: Any) -> Recipe:
    data = recipe().model_dump(mode="json", exclude_defaults=True)
    ship = publish.pop("ship", "merged")
    return validate_recipe(
        {**data, "publish": {"reference": reference, **publish}, "package": {"ship": ship}}, "recipe"
    )


def test_a_place_of_any_depth_can_be_planned(shape: ModelShape) -> None:
    deep = published("europe-docker.pkg.dev/project/repo/name:1.0")
    assert plan_package(deep, shape, 1).registry == "europe-docker.pkg.dev"
    check_references(deep)
    check_references(
        published("europe-docker.pkg.dev/project/repo/name:1.0", formats=["modelpack", "docker"])
    )


@pytest.mark.parametrize(
    ("reference", "publish", "said"),
    [
        (
            "europe-docker.pkg.dev/project/repo/name:1.0",
            {"formats": ["ollama"]},
            "Ollama cannot pull from there",
        ),
        ("ghcr.io/acme/coder:1.0", {"formats": ["docker"], "ship": "adapter"}, "cannot name an adapter"),
        ("ghcr.io/acme/coder:edge-cloud", {}, "meaning of its own"),
        ("ghcr.io/a/b/c:LOCAL", {}, "meaning of its own"),
    ],
)
def test_a_place_or_a_format_that_serves_nobody_is_refused_before_training(
    reference: str, publish: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        check_references(published(reference, **publish))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("formats", [[], ["ollama", "ollama"], ["oci"], "ollama"])
def test_formats_are_known_names_each_once(formats: Any) -> None:
    with pytest.raises(RecipeError, match=r"publish\.formats"):
        published("ghcr.io/acme/coder:1.0", formats=formats)
