"""Recipes in the documentation are valid, also those of a few keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documentation import PAGES

from starfreight.recipe.load import validate_recipe
from starfreight.recipe.models import Recipe
from starfreight.recipe.yaml import parse_yaml

_BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_MINIMAL = {
    "version": 1,
    "name": "model",
    "base": {"model": "builtin:starter"},
    "data": [{"source": "./src"}],
}


def _recipes() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            block = re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE)
            keys = set(re.findall(r"^([\w-]+):", block, re.MULTILINE))
            if keys and keys < set(Recipe.model_fields) and not block.startswith((" ", "-")):
                line = text.count("\n", 0, match.start()) + 1
                yield pytest.param(page, block, id=f"{page.name}:{line}")


@pytest.mark.parametrize(("page", "block"), [*_recipes()])
def test_keys_of_a_recipe_on_a_page_are_valid(page: Path, block: str) -> None:
    given = parse_yaml(block.replace("...", "0" * 64), page.name)
    validate_recipe({**_MINIMAL, **given}, page.name)
