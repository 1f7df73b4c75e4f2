"""Sweeps: one recipe with lists of values becomes one recipe for each combination."""

from __future__ import annotations

import itertools
import re
from typing import Any

from starfreight.console import human_count
from starfreight.errors import RecipeError
from starfreight.recipe.load import validate_recipe
from starfreight.recipe.models import Recipe
from starfreight.recipe.ollama_parameters import check_parameters

MAX_VARIANTS = 1000


def expand(recipe: Recipe) -> tuple[Recipe, ...]:
    """The variants of a recipe: recipes without a sweep and with names of their own.

    A variant's name is the recipe's, followed by the last part of each key and its value:
    ``acme-rank-8``. A recipe without a sweep is its own only variant.

    Raises:
        RecipeError: an unknown key path, a value that is not valid, two variants with the same name, or
            more than a thousand variants.
    """
    if not recipe.sweep:
        return (recipe,)
    count = 1
    for values in recipe.sweep.values():
        count *= len(values)
    if count > MAX_VARIANTS:
        raise RecipeError(
            f"The sweep makes {human_count(count, 'variants')}; the limit is {MAX_VARIANTS}.",
            where="key sweep",
            fix="list fewer values",
        )
    variants: dict[str, Recipe] = {}
    for combination in itertools.product(*recipe.sweep.values()):
        data = recipe.model_dump(mode="json", exclude={"sweep"})
        name = recipe.name
        for key, value in zip(recipe.sweep, combination, strict=True):
            _set(data, key, value)
            name += f"-{key.rsplit('.', 1)[-1]}-{_word(value)}"
        data["name"] = name
        if data["name"] in variants:
            raise RecipeError(
                f"Two variants have the same name, {data['name']!r}.",
                where="key sweep",
                fix="list each value once",
            )
        where = f"variant {data['name']}"
        variants[data["name"]] = variant = validate_recipe(data, where)
        check_parameters(variant.package.parameters, where)
    return tuple(variants.values())


def _word(value: Any) -> str:
    """A value as part of a name: ``16``, ``q8_0-f16`` for a list."""
    return re.sub(r"[^a-z0-9._-]+", "-", str(value).lower().strip("[](){}'\" "))


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    target: Any = data
    *parents, last = key.split(".")
    for part in parents:
        target = target.get(part) if isinstance(target, dict) else None
    if not isinstance(target, dict) or last not in target or parents == []:
        raise RecipeError(
            f"The sweep names an unknown key {key!r}.",
            where="key sweep",
            fix="use the whole path of a key, such as training.rank",
        )
    target[last] = value
