"""Files generated from the recipe's models: the JSON Schema for editors, and the reference in Markdown.

Run ``python -m starfreight.recipe.schema docs/recipe.md`` after a change of the models.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from starfreight.files import write_bytes, write_json
from starfreight.recipe.models import Recipe

SCHEMA_FILE = Path(__file__).with_name("recipe.schema.json")


def recipe_schema() -> dict[str, Any]:
    """The schema as JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(),
        "title": "Starfreight recipe",
    }


def recipe_reference() -> str:
    """The reference in Markdown: each key with its default and its meaning."""
    lines = [
        "# The recipe",
        "",
        "One YAML file (1.2, without anchors and aliases). Relative paths start at its directory.",
        "`starfreight init` writes one with comments, and the JSON Schema beside it.",
        "A recipe with a key, a token or a password in it is refused: it is published with the package.",
        "This page is generated from the models.",
    ]
    return "\n".join([*lines, *reference(Recipe)]) + "\n"


def reference(model: type[BaseModel]) -> Iterator[str]:
    """Lines in Markdown about a model and all models in it: a table for each, by its path of keys."""
    for name, part in sections(model):
        yield from ("", f"## `{name}`" if name else "## Top level", "", *_about(part))
        yield from ("| key | default | meaning |", "|---|---|---|", *_rows(part))


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and all models in its fields, at any depth, each by its path of keys.

    A path goes through lists as ``key[]`` and through maps as ``key.NAME``; the outermost one is empty.
    """
    yield path, model
    for key, field in model.model_fields.items():
        for suffix, part in _models_in(field.annotation):
            yield from sections(part, f"{path}.{key}{suffix}".removeprefix("."))


def _models_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    parts = get_args(annotation)
    origin = get_origin(annotation)
    step = ""
    if isinstance(origin, type) and issubclass(origin, Mapping):
        parts, step = parts[1:], ".NAME"
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        step = "[]"
    for part in parts:
        for suffix, found in _models_in(part):
            yield step + suffix, found


def _about(model: type[BaseModel]) -> list[str]:
    return [" ".join((model.__doc__ or "").split()), ""]


def _rows(model: type[BaseModel]) -> Iterator[str]:
    for key, field in model.model_fields.items():
        default = "required" if field.is_required() else _shown(field.default)
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        yield f"| `{key}` | {default} | {meaning} |"


def _shown(default: Any) -> str:
    if (
        default is None
        or default is PydanticUndefined
        or isinstance(default, BaseModel)
        or default in ((), {}, "")
    ):
        return ""
    if isinstance(default, tuple):
        default = "[" + ", ".join(str(item) for item in default) + "]"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    write_json(SCHEMA_FILE, recipe_schema())
    if len(sys.argv) > 1:
        write_bytes(Path(sys.argv[1]), recipe_reference().encode())
