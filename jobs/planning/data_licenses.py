"""The licenses of a recipe's data, as far as its sources were looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starfreight.jobs.planning.data_look import DataLook
from starfreight.licenses.training_use import DataLicense, data_licenses
from starfreight.recipe import Recipe

_UNKNOWN = "NOASSERTION"


def seen_licenses(recipe: Recipe, look: DataLook) -> tuple[DataLicense, ...]:
    """The licenses of the texts that were read; of a source that is not here, the license in the recipe."""
    return data_licenses(_sources(recipe, look))


def _sources(recipe: Recipe, look: DataLook) -> Iterator[tuple[str, Mapping[str, int | None]]]:
    for data, seen in zip(recipe.data, look.sources, strict=True):
        if seen.summary is not None:
            yield seen.summary.source, {name: each.samples for name, each in seen.summary.licenses.items()}
        elif data.license != _UNKNOWN:
            yield data.source, {data.license: None}
