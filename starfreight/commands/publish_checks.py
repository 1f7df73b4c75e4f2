"""Checks of the place where a recipe is published, and the last step of its job."""

from __future__ import annotations

from starfreight.recipe import Recipe, expand


def check_references(recipe: Recipe) -> None:
    """Checks where the packages of a recipe's variants are published, before the hours of training.

    Raises:
        InputError: a reference is not valid.
    """
    from starfreight.registry import parse_reference

    if recipe.publish is not None:
        for variant in expand(recipe):
            parse_reference(recipe.publish.reference + variant.name.removeprefix(recipe.name))


def last_step_in_cluster(recipe: Recipe) -> str:
    """The last step of a recipe's job in a cluster: it publishes a recipe with ``publish`` and no sweep."""
    return "publish" if recipe.publish is not None and len(expand(recipe)) == 1 else "package"
