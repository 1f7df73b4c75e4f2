"""Defaults are part of a recipe's meaning: each is listed in ``tests/golden/recipe-defaults.txt``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import create_model
from recipe_models import defaults, later

from starfreight.recipe import Recipe, Training
from starfreight.recipe.data import Fim

LISTED = Path(__file__).parents[1] / "golden/recipe-defaults.txt"

ADVICE = {
    "new": "add the line to tests/golden/recipe-defaults.txt",
    "required": "give the key a default: recipes without it must stay valid",
    "changed": "restore it: finished runs would be found for other settings. A changed default needs a new "
    "version of the recipe format, which is part of every identity",
    "gone": "restore the key: recipes of version 1 stay valid",
}


def problems(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The keys whose defaults are not as listed, with the kind of their problem."""
    listed = dict(line.split(": ", 1) for line in LISTED.read_text().splitlines())
    now = dict(found)
    kinds = [
        (key, "changed" if key in listed else "required" if default == "required" else "new")
        for key, default in now.items()
        if listed.get(key) != default
    ]
    return kinds + [(key, "gone") for key in listed if key not in now]


def test_no_default_has_changed_and_each_new_key_is_listed() -> None:
    found = problems(defaults())
    assert not found, "\n".join(f"{key} ({kind}): {ADVICE[kind]}" for key, kind in found)


def test_a_change_of_a_default_is_noticed() -> None:
    assert problems(defaults(later(Training))) == [("training.later", "new")]
    changed = create_model("Training", __base__=Training, rank=(int, 8))
    recipe = create_model("Recipe", __base__=Recipe, training=(changed, changed()))
    assert problems(defaults(recipe)) == [("training.rank", "changed")]
    stricter = create_model("Recipe", __base__=Recipe, owner=(str, ...))
    assert problems(defaults(stricter)) == [("owner", "required")]
    without = [(key, default) for key, default in defaults() if key != "training.rank"]
    assert problems(without) == [("training.rank", "gone")]


def test_defaults_that_depend_on_other_keys_have_not_changed() -> None:
    assert Fim().nodes == 0.25
    assert Fim(line_rate=0.9).nodes == 1 - 0.9
