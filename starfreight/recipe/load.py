"""Reading a recipe file: a :class:`Recipe`, or one error that names the wrong key and the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from starfreight.errors import InputError, RecipeError
from starfreight.files import read_limited
from starfreight.recipe.explain import explain
from starfreight.recipe.models import Recipe
from starfreight.recipe.ollama_parameters import check_parameters
from starfreight.recipe.secrets import refuse_secrets
from starfreight.recipe.yaml import parse_yaml

MAX_RECIPE_BYTES = 256 * 1024
NEWEST_VERSION = 1


@dataclass(frozen=True)
class RecipeFile:
    """A recipe and the directory where its relative paths start."""

    recipe: Recipe
    folder: Path

    def with_run_options(self, **changes: Any) -> RecipeFile:
        """A copy with keys of the recipe's ``run`` changed by :meth:`RunOptions.changed`."""
        refuse_secrets(changes, "options")
        run = self.recipe.run.changed(**changes)
        return replace(self, recipe=self.recipe.model_copy(update={"run": run}))


def load_recipe(path: Path) -> RecipeFile:
    """Reads a recipe of at most 256 KiB.

    Raises:
        RecipeError: missing, too large, not UTF-8, not YAML, not a recipe, a recipe with a secret in it, or
            with a parameter that Ollama does not take.
    """
    try:
        content = read_limited(path, MAX_RECIPE_BYTES, "recipe")
    except InputError as error:
        raise RecipeError(error.what, where=error.where, fix=error.fix) from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"The recipe is not UTF-8 (byte {error.start}).", where=str(path), fix="save it as UTF-8"
        ) from error
    data = parse_yaml(text, str(path))
    recipe = validate_recipe(data, str(path))
    refuse_secrets(data, str(path))
    check_parameters(recipe.package.parameters, str(path))
    return RecipeFile(recipe, path.resolve().parent)


def validate_recipe(data: Any, where: str) -> Recipe:
    """Makes a recipe from plain data.

    Raises:
        RecipeError: a key is wrong; names the first one, and for an unknown key the nearest known one.
    """
    if not isinstance(data, dict):
        raise RecipeError(
            "The recipe is not a mapping of keys to values.", where=where, fix="see starfreight init"
        )
    version = data.get("version")
    if isinstance(version, int) and version > NEWEST_VERSION:
        raise RecipeError(
            f"The recipe has version {version}; this Starfreight reads versions up to {NEWEST_VERSION}.",
            where=f"{where}, key version",
            fix="upgrade Starfreight",
        )
    try:
        # By way of JSON: strict models accept a JSON list for a tuple, but not a Python list.
        text = json.dumps(data, allow_nan=False)
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        plain, at = json.loads(text), error.errors(include_url=False)[0]["loc"]
        if at[:2] == ("package", "parameters") and len(at) > 2:
            # In words of its own.
            check_parameters({str(at[2]): plain["package"]["parameters"].get(str(at[2]))}, where)
        raise explain(error, plain, where, Recipe, "recipe") from error
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"The recipe contains a value that is not plain data: {error}.",
            where=where,
            fix="use finite numbers, strings, lists and mappings",
        ) from error
