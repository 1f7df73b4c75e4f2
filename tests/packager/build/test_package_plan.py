"""The plan of a package, and its checks against the base model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import ModelShape, open_checkpoint
from starfreight.errors import RecipeError
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
