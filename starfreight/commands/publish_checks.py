"""Checks of the place where a recipe is published, and the last step of its job."""

from __future__ import annotations

from starfreight.recipe import Recipe, expand


def check_references(recipe: Recipe) -> None:
    """Checks where the packages of a recipe's variants are published, before the hours of training.

    Raises:
        InputError: a reference is not valid, or no client could use a format there.
    """
    from starfreight.packager.registry.choose_formats import choose_formats
    from starfreight.registry import parse_destination

    if recipe.publish is not None:
        for variant in expand(recipe):
            target = parse_destination(recipe.publish.reference + variant.name.removeprefix(recipe.name))
            with_adapter = variant.package.ship == "adapter"
            choose_formats(target, recipe.publish.formats, with_adapter=with_adapter)


def last_step_in_cluster(recipe: Recipe) -> str:
    """The last step of a recipe's job in a cluster: it publishes a recipe with ``publish`` and no sweep.

    A package that is to pass a gate is published from this machine, after its evaluation.
    """
    alone = recipe.publish is not None and len(expand(recipe)) == 1
    return "publish" if alone and not recipe.package.quality else "package"
