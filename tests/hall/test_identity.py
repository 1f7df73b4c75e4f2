"""The identity of a recipe: what it sets beyond the defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from recipe_models import LATER_KEY, later, parts

from starfreight.recipe import (
    Fim,
    ModelCard,
    PackageOptions,
    Recipe,
    RunOptions,
    Training,
    earlier_recipe_digest,
    load_recipe,
    recipe_digest,
    validate_recipe,
)
from starfreight.recipe.evaluate import Evaluate, QualityRule, SuiteChoice
from starfreight.recipe.identity import TRAINING, identity
from starfreight.recipe.identity_v1 import identity_v1
from starfreight.recipe.models import Sign

GOLDEN = Path(__file__).parents[1] / "golden"
RECIPES = sorted((GOLDEN / "recipes").glob("*.yaml"))
PLAIN = {
    "version": 1, "name": "a", "base": {"model": "./base", "license": "MIT"}, "data": [{"source": "./code"}],
}  # fmt: skip

EVERY_PART: dict[str, Any] = {
    "version": 1, "name": "a", "base": {"model": "./base"},
    "data": [
        {"source": "./code"},
        {"source": "./other", "columns": {"path": "p"}, "fim": {"rate": 1}, "repository": {"fim_rate": 1},
         "filters": {"secrets": "keep"}},
    ],
    "training": {"rank": 8}, "package": {"merge": {"base": "nf4_roundtrip"}, "imatrix": {},
    "card": {"title": "A"}}, "publish": {"reference": "host/a:1"},
    "run": {"where": "kubernetes", "kubernetes": {"tolerations": [{"key": "a"}]}},
}  # fmt: skip


def recipe(**more: Any) -> Recipe:
    return validate_recipe(PLAIN | more, "test")


@pytest.mark.parametrize(
    "given",
    [
        {"training": {}},
        {"training": {"rank": 16, "steps": None, "learning_rate": "auto", "warmup": "3%"}},
        {"data": [{"source": "./code", "weight": 1, "fim": {"rate": "90%"}, "filters": {}}]},
        {"package": {"quantizations": ["q4_k_m", "Q8_0"], "parameters": {}, "card": {"description": ""}}},
        {"run": {"where": "local", "kubernetes": {"nodes": 1, "tolerations": [], "node_selector": {}}}},
        {"publish": None, "sweep": {}},
    ],
)  # fmt: skip
def test_a_key_written_out_with_its_default_equals_a_key_left_out(given: dict[str, Any]) -> None:
    assert identity(recipe(**given)) == PLAIN
    assert recipe_digest(recipe(**given)) == recipe_digest(recipe())


@pytest.mark.parametrize(
    "given",
    [
        {"name": "b"},
        {"training": {"rank": 8}},
        {"training": {"learning_rate": 2e-4}},
        {"data": [{"source": "./code"}, {"source": "./code"}]},
        {"data": [{"source": "./code", "fim": {"rate": 0.8}}]},
        {"package": {"imatrix": {}}},
        {"package": {"parameters": {"temperature": 0}}},
        {"publish": {"reference": "host/a:1"}},
        {"run": {"time_limit": "2h"}},
        {"run": {"kubernetes": {"tolerations": [{}]}}},
        {"sweep": {"training.rank": [8, 16]}},
    ],
    ids=str,
)
def test_any_other_value_is_part_of_the_identity(given: dict[str, Any]) -> None:
    assert recipe_digest(recipe(**given)) != recipe_digest(recipe())


def test_values_have_their_units_and_items_of_lists_only_what_they_set() -> None:
    found = recipe(
        data=[{"source": "./a"}, {"source": "./b", "fim": {"rate": 1, "spm_rate": 0.5}}],
        package={"imatrix": {"blocks": 64}},
        run={"gpu_memory": "1GiB", "time_limit": "1h", "kubernetes": {"tolerations": [{"key": "a"}, {}]}},
    )
    assert identity(found, without={"base", "name"}) == {
        "version": 1,
        "data": [{"source": "./a"}, {"source": "./b", "fim": {"rate": 1.0}}],
        "package": {"imatrix": {}},
        "run": {
            "gpu_memory": "1073741824B",
            "time_limit": "3600s",
            "kubernetes": {"tolerations": [{"key": "a"}, {}]},
        },
    }


def test_a_part_of_the_identity_has_the_version_of_the_format() -> None:
    assert identity(recipe(run={"threads": 2}), only=TRAINING) == {
        key: PLAIN[key] for key in ("version", "base", "data")
    }


@pytest.mark.parametrize("part", list(parts()), ids=lambda part: part.__name__)
def test_a_later_key_with_a_default_changes_no_digest(part: type[BaseModel]) -> None:
    newer = later(part)
    for path in RECIPES:
        before = load_recipe(path).recipe
        after = newer.model_validate_json(before.model_dump_json(exclude_unset=True))
        assert isinstance(after, Recipe)
        assert type(after) is not type(before)
        assert recipe_digest(after) == recipe_digest(before), path.name
        assert earlier_recipe_digest(after) == earlier_recipe_digest(before), path.name


JUDGING = (Evaluate, SuiteChoice, QualityRule, Sign)
"""Parts of a recipe that are in no identity."""


@pytest.mark.parametrize(
    "judged",
    [
        {"evaluate": {"suites": {"fim": {"limit": 20}}, "baselines": ["F16"]}},
        {"package": {"quality": [{"suite": "fim", "figure": "exact_match", "at_least": 0.4}]}},
        {"package": {"system": "Be brief.", "quality": [{"suite": "a", "figure": "b", "not_below": "F16"}]}},
    ],
)
def test_evaluation_and_quality_rules_may_be_added_to_the_recipe_of_a_finished_run(
    judged: dict[str, Any],
) -> None:
    plain = {key: value for key, value in judged.get("package", {}).items() if key != "quality"}
    before, after = recipe(package=plain), recipe(**judged)
    assert recipe_digest(before) == recipe_digest(after)
    assert earlier_recipe_digest(before) == earlier_recipe_digest(after) is not None
    for only in (TRAINING, {"package"}, {"evaluate"}, None):
        assert identity(before, only=only) == identity(after, only=only)
    assert before != after


@pytest.mark.parametrize(
    "part", [part for part in parts() if part not in JUDGING], ids=lambda part: part.__name__
)
def test_a_later_key_with_another_value_is_no_recipe_of_an_earlier_version(part: type[BaseModel]) -> None:
    """Otherwise a run trained without the key would be taken for one with it."""
    newer = later(part)
    plain = newer.model_validate_json(json.dumps(EVERY_PART))
    assert isinstance(plain, Recipe)
    assert earlier_recipe_digest(plain) == earlier_recipe_digest(validate_recipe(EVERY_PART, "test"))
    whole = plain.model_dump(mode="json")
    set_later(whole)
    changed = newer.model_validate_json(json.dumps(whole))
    assert isinstance(changed, Recipe)
    assert recipe_digest(changed) != recipe_digest(plain)
    assert earlier_recipe_digest(changed) is None


def test_a_later_key_that_training_ignores_leaves_the_identity_of_a_run_alone() -> None:
    for part, same in (
        (PackageOptions, True),
        (ModelCard, True),
        (RunOptions, True),
        (Training, False),
        (Fim, False),
    ):
        newer = later(part)
        whole = newer.model_validate_json(json.dumps(EVERY_PART)).model_dump(mode="json")
        set_later(whole)
        changed = newer.model_validate_json(json.dumps(whole))
        assert isinstance(changed, Recipe)
        plain = validate_recipe(EVERY_PART, "test")
        assert (identity(changed, only=TRAINING) == identity(plain, only=TRAINING)) is same
        assert identity_v1(changed, only=TRAINING) == (identity_v1(plain, only=TRAINING) if same else None)


def set_later(data: Any) -> None:
    """Gives the later key another value, in the last place that has it."""
    found: list[dict[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend([value] if LATER_KEY in value else [])
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(data)
    found[-1][LATER_KEY] = 2
