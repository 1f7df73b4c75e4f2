"""Files generated from the recipe's models: the JSON Schema for editors, and the reference in Markdown.

Run ``python -m starfreight.recipe.schema docs/recipe.md`` after a change of the models.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from starfreight.files import write_bytes, write_json
from starfreight.recipe.data import Columns, Data, Filters, Fim, Repository
from starfreight.recipe.evaluate import Evaluate, QualityRule, SuiteChoice
from starfreight.recipe.kubernetes import KubernetesOptions, Toleration
from starfreight.recipe.models import Base, Publish, Recipe, Sign, Training
from starfreight.recipe.package import ImportanceMatrix, Merge, ModelCard, PackageOptions
from starfreight.recipe.run import RunOptions

SCHEMA_FILE = Path(__file__).with_name("recipe.schema.json")

_SECTIONS: dict[str, type[BaseModel]] = {
    "": Recipe,
    "base": Base,
    "data[]": Data,
    "data[].columns": Columns,
    "data[].fim": Fim,
    "data[].repository": Repository,
    "data[].filters": Filters,
    "training": Training,
    "package": PackageOptions,
    "package.merge": Merge,
    "package.imatrix": ImportanceMatrix,
    "package.card": ModelCard,
    "package.quality[]": QualityRule,
    "evaluate": Evaluate,
    "evaluate.suites.NAME": SuiteChoice,
    "publish": Publish,
    "publish.sign": Sign,
    "run": RunOptions,
    "run.kubernetes": KubernetesOptions,
    "run.kubernetes.tolerations[]": Toleration,
}


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
    return "\n".join([*lines, *reference(_SECTIONS)]) + "\n"


def reference(sections: Mapping[str, type[BaseModel]]) -> Iterator[str]:
    """Lines in Markdown about models: a table for each section, by its path of keys."""
    for name, model in sections.items():
        yield from ("", f"## `{name}`" if name else "## Top level", "", *_about(model))
        yield from ("| key | default | meaning |", "|---|---|---|", *_rows(model))


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
