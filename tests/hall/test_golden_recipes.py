"""Recipes of earlier versions are read as before and have the digests of then and of now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.recipe import Recipe, earlier_recipe_digest, expand, load_recipe, recipe_digest
from starfreight.recipe.identity_v1 import identity_v1
from starfreight.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
VERSIONS: dict[str, dict[str, Any]] = {
    name: json.loads((GOLDEN / name).read_text()) for name in ("identities.json", "identities-v2.json")
}
NAMES = sorted(VERSIONS["identities.json"]["recipes"])
DIGESTS = {"identities.json": earlier_recipe_digest, "identities-v2.json": recipe_digest}
RUNS = sorted((GOLDEN / "finished-runs").iterdir())


def test_every_golden_recipe_has_its_identities() -> None:
    files = {str(path.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*.yaml")}
    assert files == set(NAMES) == set(VERSIONS["identities-v2.json"]["recipes"])
    assert [path.name for path in RUNS] == sorted(VERSIONS["identities-v2.json"]["finished_runs"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_the_digests_of_a_recipe_and_its_variants_are_those_of_their_version(name: str, version: str) -> None:
    digest = DIGESTS[version]
    golden = VERSIONS[version]["recipes"][name]
    recipe = load_recipe(GOLDEN / name).recipe
    assert digest(recipe) == golden["recipe_digest"]
    rates = VERSIONS["identities.json"]["recipes"][name]["variants"]
    for variant, rate, expected in zip(expand(recipe), rates, golden["variants"], strict=True):
        assert variant.name == expected["name"]
        assert digest(variant) == expected["as_given"]["recipe_digest"]
        training = variant.training.model_copy(update={"learning_rate": rate["learning_rate_with_defaults"]})
        resolved = variant.model_copy(update={"training": training})
        assert digest(resolved) == expected["with_defaults"]["recipe_digest"]


@pytest.mark.parametrize("path", sorted((GOLDEN / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_is_read_with_the_keys_and_values_of_then(path: Path) -> None:
    was = json.loads((GOLDEN / "recipes-as-read" / f"{path.stem}.json").read_text())
    recipe = load_recipe(path).recipe
    assert identity_v1(recipe) == was
    assert Recipe.model_validate_json(json.dumps(was)) == recipe


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_finished_run_is_read_and_has_its_digests(folder: Path) -> None:
    run = Run.load(folder)
    assert run.id == folder.name
    assert run.is_done(folder)
    new = VERSIONS["identities-v2.json"]["finished_runs"][folder.name]["recipe_digest"]
    assert earlier_recipe_digest(run.recipe) == run.recipe_digest
    assert recipe_digest(run.recipe) == new
    assert run.recipe_digests == {run.recipe_digest, new}
