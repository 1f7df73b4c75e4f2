"""The JSON Schema for editors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from recipe_models import parts

from starfreight.recipe import load_recipe
from starfreight.recipe.schema import SCHEMA_FILE, recipe_reference, recipe_schema
from starfreight.recipe.yaml import parse_yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
RECIPES = [*EXAMPLES, *sorted((ROOT / "starfreight/commands/sample").glob("*.yaml"))]


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(SCHEMA_FILE.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_shipped_schema_is_generated_from_the_models() -> None:
    assert json.loads(SCHEMA_FILE.read_bytes()) == recipe_schema(), "run: make schema"


def test_the_reference_is_generated_from_the_models_and_describes_all_of_them() -> None:
    reference = recipe_reference()
    assert (ROOT / "docs/recipe.md").read_text() == reference, "run: make schema"
    for model in parts():
        assert f"\n{' '.join((model.__doc__ or '').split())}\n" in reference, model


def test_there_are_examples() -> None:
    assert {"quickstart.yaml", "starcoder2-3b.yaml", "starcoder2-7b.yaml", "starcoder2-15b.yaml"} <= {
        path.name for path in EXAMPLES
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_schema_and_the_models_accept_every_recipe_in_the_repository(path: Path, validator: Any) -> None:
    validator.validate(parse_yaml(path.read_text(), str(path)))
    assert load_recipe(path).recipe.version == 1


@pytest.mark.parametrize(
    "change",
    [
        {"trainning": {}},
        {"training": {"rnak": 8}},
        {"run": {"gpu_memory": 24}},
        {"run": {"time_limit": "2 bananas"}},
        {"training": {"warmup": 1.5}},
        {"package": {"quantizations": ["Q4_K"]}},
        {"version": 2},
        {"name": "Has Spaces"},
        {"data": []},
    ],
    ids=str,
)
def test_the_schema_refuses_the_same_recipes_as_the_models(
    change: dict[str, Any], validator: Any, good_recipe: str
) -> None:
    recipe = parse_yaml(good_recipe, "good")
    validator.validate(recipe)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(recipe | change)


def test_keys_have_their_descriptions_in_the_schema(validator: Any) -> None:
    described = validator.schema["$defs"]["Data"]["properties"]
    assert "directory of code" in described["source"]["description"]


def test_the_reference_has_every_key_of_the_schema_under_its_path() -> None:
    tables = dict(re.findall(r"^## (\S+|Top level)\n(.*?)(?=^## |\Z)", recipe_reference(), re.M | re.S))
    keys = list(_keys(recipe_schema(), ""))
    assert len(keys) > 150
    assert {
        ("`data[].filters`", "secrets"),
        ("`data[]`", "columns"),
        ("`evaluate.suites.NAME`", "limit"),
    } <= {*keys}
    assert [key for key in keys if f"\n| `{key[1]}` |" not in tables.get(key[0], "")] == []


def _keys(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Each key with the heading of the table that has to hold it."""

    def walk(part: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
        if "$ref" in part:
            yield from walk(schema["$defs"][part["$ref"].rpartition("/")[2]], path)
        for option in part.get("anyOf", ()):
            yield from walk(option, path)
        for key, value in part.get("properties", {}).items():
            yield f"`{path}`" if path else "Top level", key
            yield from walk(value, f"{path}.{key}".removeprefix("."))
        if isinstance(part.get("items"), dict):
            yield from walk(part["items"], f"{path}[]")
        for named in (part.get("additionalProperties"), *part.get("patternProperties", {}).values()):
            if isinstance(named, dict):
                yield from walk(named, f"{path}.NAME")

    yield from walk(schema, path)
