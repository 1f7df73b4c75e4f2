"""Refusal of data whose licenses forbid the use that a recipe makes of them."""

from __future__ import annotations

from collections.abc import Sequence

from starfreight.data_manifest import SourceSummary
from starfreight.licenses.training_use import DataLicense, ModelUse, data_licenses, data_refusal
from starfreight.recipe import Recipe


def check_data_licenses(recipe: Recipe, base_license: str, sources: Sequence[SourceSummary]) -> None:
    """Refuses data under licenses that forbid training, or publishing the model if the recipe does.

    Args:
        recipe: without a sweep.
        base_license: of the base model.
        sources: the counts of its sources.

    Raises:
        GateError: a license forbids it; source, license and ways out are named.
    """
    error = data_refusal(licenses_of(sources), model_use(recipe, base_license))
    if error is not None:
        raise error


def model_use(recipe: Recipe, base_license: str) -> ModelUse:
    """The use of a recipe's model."""
    chosen = recipe.package.license
    return ModelUse(chosen or base_license, chosen is not None, shared=recipe.publish is not None)


def licenses_of(sources: Sequence[SourceSummary]) -> tuple[DataLicense, ...]:
    """The licenses of the texts in use."""
    return data_licenses(
        (source.source, {name: count.samples for name, count in source.licenses.items()})
        for source in sources
    )
