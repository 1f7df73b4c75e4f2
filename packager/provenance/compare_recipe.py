"""The values of a package that the recipe in its statement determines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from starfreight.base_model import known_license, public_name
from starfreight.files import canonical_json
from starfreight.package import Package
from starfreight.recipe import Recipe


@dataclass(frozen=True)
class PackageSources:
    """The parts of a package that follow from the recipe in its statement.

    Attributes:
        authors: named by its ModelPack configs.
        source_url: named by its ModelPack configs.
        texts: bytes of ``template``, ``settings`` and ``system``; those it does not have are left out.
        links: home page and addresses of the data, named by its ModelPack configs; ``None`` in packages
            built before the first release.
    """

    authors: tuple[str, ...]
    source_url: str | None
    texts: Mapping[str, bytes]
    links: tuple[str | None, tuple[str, ...]] | None = None


def recipe_values(
    recipe: Recipe, package: Package, sources: PackageSources, data_licenses: Callable[[], Iterable[str]]
) -> Iterator[tuple[str, object, object]]:
    """Each value that the recipe determines: its name, by the recipe, and in the package.

    Args:
        recipe: in the statement.
        package: the record.
        sources: other parts of the package.
        data_licenses: the licenses of the data in the statement; called if they matter.
    """
    from starfreight.packager.build.dataset_urls import dataset_urls
    from starfreight.packager.build.templates import possible_settings, possible_templates

    options, card = recipe.package, recipe.package.card
    quantizations = [variant.quantization for variant in package.variants]
    yield "name", recipe.name, package.name
    yield "title", " ".join((card.title or recipe.name).split()), package.title
    yield "description", card.description, package.description
    yield "authors", tuple(card.authors), sources.authors
    yield "source URL", card.repository or card.url or None, sources.source_url
    if sources.links is not None:
        yield "links", (card.url, dataset_urls(recipe)), sources.links
    yield "base model", public_name(recipe.base.model), package.base.name
    if recipe.base.revision is not None:
        yield "revision of the base model", recipe.base.revision, package.base.revision
    yield "license", *_licenses(recipe, package, data_licenses)
    yield "way to ship the adapter", options.ship, "merged" if package.adapter is None else "adapter"
    yield (
        "default quantization",
        options.default if options.default in quantizations else quantizations[0],
        package.default,
    )
    template = sources.texts.get("template")
    yield "template", _one_of(map(_bytes, possible_templates(recipe)), template), template
    yield "system prompt", _bytes(options.system), sources.texts.get("system")
    parameters = sources.texts.get("settings")
    possible = possible_settings(recipe, package.architecture, package.context_length, _num_ctx(parameters))
    yield "parameters", _one_of((canonical_json(dict(each)) for each in possible), parameters), parameters


def _licenses(
    recipe: Recipe, package: Package, data_licenses: Callable[[], Iterable[str]]
) -> tuple[object, object]:
    """Names of the package's licenses as recipe and data allow them, and as they are."""
    from starfreight.licenses.data_terms import data_terms, in_conjunction
    from starfreight.licenses.expression import license_names

    base = known_license(recipe.base) or ""
    stated = recipe.package.license or base
    possible = {base, stated, *license_names(base)}
    found = [each.name for each in package.licenses]
    if recipe.package.license is None and not possible.issuperset(found):
        possible |= {in_conjunction(base), *data_terms(data_licenses(), base)}
    return [name if name in possible else stated for name in found], found


def _one_of(possible: Iterable[bytes | None], found: bytes | None) -> bytes | None:
    """The value found, if it is possible: built-in values differ between versions. Else, the first one."""
    values = tuple(possible)
    return found if found in values else values[0]


def _num_ctx(parameters: bytes | None) -> object:
    """The context length in a package's parameters, if any."""
    try:
        return json.loads(parameters or b"{}")["num_ctx"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None


def _bytes(text: str | None) -> bytes | None:
    return text.encode() if text else None
