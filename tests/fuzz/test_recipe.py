"""Recipes in YAML."""

from __future__ import annotations

from pathlib import Path

from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.recipe import expand, load_recipe
from starfreight.recipe.yaml import parse_yaml

GOLDEN = Path(__file__).parents[1] / "golden" / "recipes"
NAMES = ("fim-every-default-given.yaml", "sweep.yaml", "kubernetes-every-key.yaml")
RECIPES = [GOLDEN.joinpath(name).read_bytes() for name in NAMES]
READ = [parse_yaml(each.decode(), "recipe") for each in RECIPES]


def load(folder: Path, data: bytes) -> None:
    path = folder / "recipe.yaml"
    path.write_bytes(data)
    holds(lambda: list(expand(load_recipe(path).recipe)))


@fuzz
@given(data=st.sampled_from(RECIPES).flatmap(changed_bytes))
def test_a_recipe_of_changed_bytes(folder: Path, data: bytes) -> None:
    load(folder, data)


@fuzz
@given(data=st.sampled_from(READ).flatmap(changed_json))
def test_a_recipe_of_changed_values(folder: Path, data: bytes) -> None:
    load(folder, data)


@fuzz
@given(data=st.text(alphabet="!&*|>{}[]:-?,'\"#%@ \n\tab1.~<", max_size=120))
def test_a_recipe_of_yaml_signs(folder: Path, data: str) -> None:
    load(folder, data.encode())
