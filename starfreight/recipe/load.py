"""Reading a recipe file: a :class:`Recipe`, or one error that names the wrong key and the reason."""

from __future__ import annotations

import difflib
import json
import types
import typing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from starfreight.errors import InputError, RecipeError
from starfreight.files import read_limited
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
        raise _explain(error, json.loads(text), where) from error
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"The recipe contains a value that is not plain data: {error}.",
            where=where,
            fix="use finite numbers, strings, lists and mappings",
        ) from error


def _explain(error: ValidationError, data: Any, where: str) -> RecipeError:
    problems = error.errors(include_url=False)
    first = problems[0]
    location = first["loc"]
    if location[:2] == ("package", "parameters") and len(location) > 2:
        name = str(location[2])
        check_parameters({name: data["package"]["parameters"].get(name)}, where)  # In words of its own.
    keys = [_key_path(each["loc"], data, missing=each["type"] == "missing") for each in problems]
    key = keys[0]
    others = len(set(keys)) - 1
    more = f" ({others} more after it)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        return RecipeError(
            f"The recipe has an unknown key {key!r}{more}.",
            where=where,
            fix=f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known)}",
        )
    # A key of several types has one message for each of them.
    messages = [_in_words(each) for each, at in zip(problems, keys, strict=True) if at == key]
    message = "; or ".join(dict.fromkeys(messages))
    what = "is missing" if first["type"] == "missing" else f"is not valid: {message}"
    return RecipeError(
        f"The key {key!r} {what}{more}.", where=f"{where}, key {key}", fix="correct that key in the recipe"
    )


def _in_words(problem: ErrorDetails) -> str:
    """Pydantic's message, with its own terms replaced where they would puzzle the recipe's author."""
    kind, value = problem["type"], problem["input"]
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"YAML reads {value} as a number: put it in quotes"
    if kind == "string_pattern_mismatch":
        return f"{str(value)[:60]!r} is not of the form {problem['ctx']['pattern']}"
    return problem["msg"].removeprefix("Value error, ")


def _key_path(location: tuple[int | str, ...], data: Any, *, missing: bool) -> str:
    """The path of keys to a problem, without the type names that pydantic adds for a union."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            data = data[part] if isinstance(data, list) and part < len(data) else None
        elif isinstance(data, dict) and (part in data or (missing and part == location[-1])):
            path += f".{part}" if path else part
            data = data.get(part)
    return path or "(the whole recipe)"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            if inner is not None:
                model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None
