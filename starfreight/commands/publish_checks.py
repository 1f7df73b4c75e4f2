"""Checks of the place where a recipe is published, and the last step of its job."""

from __future__ import annotations

from starfreight.console import Console
from starfreight.errors import StarfreightError
from starfreight.recipe import Recipe, RecipeFile, expand


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


def check_duties(file: RecipeFile, console: Console, *, publishes: bool) -> None:
    """Checks the license duties of a recipe's variants, before the hours of training.

    Args:
        file: the recipe.
        console: takes a note on each duty that is not met, if the run does not publish.
        publishes: true if the run publishes its packages.

    Raises:
        GateError: with ``publishes``, a duty is not met.
    """
    from starfreight.base_model import local_base
    from starfreight.packager.provenance.duties import duty_refusal, planned_duties

    for variant in expand(file.recipe):
        try:
            base = local_base(variant.base, file.folder)
        except StarfreightError:
            base = None  # In a cluster, it may be on the data volume. If it is wrong, the run stops.
        try:
            report = planned_duties(variant, file.folder, base)
        except StarfreightError:
            continue  # The run stops with this error.
        if report.unmet and publishes:
            raise duty_refusal(report.unmet, f"the model {variant.name}")
        for each in report.unmet:
            console.note(f"Before publishing: {each.license}, {each.paragraph}: {each.why}; {each.how}.")


def last_step_in_cluster(recipe: Recipe) -> str:
    """The last step of a recipe's job in a cluster: it publishes a recipe with ``publish`` and no sweep.

    A package that is to pass a gate is published from this machine, after its evaluation; one that is to be
    signed as well, because keys and identities stay here.
    """
    alone = recipe.publish is not None and recipe.publish.sign is None and len(expand(recipe)) == 1
    return "publish" if alone and not recipe.package.quality else "package"
