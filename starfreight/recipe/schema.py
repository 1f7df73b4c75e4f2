"""The recipe's JSON Schema, for editors: generated from the models and shipped with the package.

``python -m starfreight.recipe.schema`` writes it again after the models have changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starfreight.files import write_json
from starfreight.recipe.models import Recipe

SCHEMA_FILE = Path(__file__).with_name("recipe.schema.json")


def recipe_schema() -> dict[str, Any]:
    """The schema as JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Starfreight recipe",
        **Recipe.model_json_schema(),
    }


if __name__ == "__main__":
    write_json(SCHEMA_FILE, recipe_schema())
