"""Compare a statement of version 2 with its package: everything that a package or its recipe determines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from starfreight.data_manifest import DataManifest
from starfreight.package import Package
from starfreight.packager.provenance.compare_dependencies import Compared, dependency_problems
from starfreight.packager.provenance.dependencies import named, resources_by_name
from starfreight.packager.provenance.predicate import StatementV2
from starfreight.packager.provenance.statement import as_bytes, builder_id
from starfreight.recipe import Recipe
from starfreight.run import ADAPTER_FOLDER, IMATRIX_FILE


def problems_of_v2(
    data: bytes, statement: Any, package: Package, recipe: Recipe, training: DataManifest | None
) -> Iterator[str]:
    """The differences that :mod:`starfreight.packager.provenance.compare` does not find in both versions.

    Args:
        data: the statement.
        statement: the same as parsed JSON.
        package: the record.
        recipe: the recipe in the statement.
        training: the package's data manifest; ``None`` without one.

    Yields:
        Completions of the sentence "The provenance statement ...".
    """
    try:
        parsed = StatementV2.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        yield f"is not in the form of version 2: {key[:200]!r}: {first['msg'][:200]}"
        return
    if as_bytes(statement) != data:
        yield "is not written as packages are: with sorted names, and each value in one form"
    yield from _values(parsed, package, recipe)
    build = statement["predicate"]["buildDefinition"]
    try:
        raw = resources_by_name(build["resolvedDependencies"])
    except ValueError as error:
        yield f"is ambiguous: {error}"
        return
    resources = {each.name: each for each in parsed.build.resolvedDependencies}
    compared = Compared(resources, {k: dict(v) for k, v in raw.items()}, package, recipe, training)
    yield from dependency_problems(compared)
    trainer = resources.get("image/trainer")
    if parsed.details.builder.id != builder_id(trainer.sha256 if trainer is not None else None):
        yield "names another builder than its image means"
    starfreight = resources.get("packaging/starfreight")
    version = parsed.details.builder.version.get("starfreight")
    if starfreight is None or version is None or starfreight.uri != _library(version):
        yield "names two versions of Starfreight for the packaging"


def _library(version: str) -> str:
    from starfreight.packager.provenance.addresses import library_url

    return library_url("starfreight", version)


def _values(parsed: StatementV2, package: Package, recipe: Recipe) -> Iterator[str]:
    internal, details = parsed.build.internalParameters, parsed.details
    options = recipe.package
    if internal.seeds.training != recipe.training.seed:
        yield "names another seed than its recipe"
    if internal.mergeBase != (options.merge.base if options.ship == "merged" else None):
        yield "names other weights to merge into than its recipe"
    if details.metadata.finishedOn != package.created:
        yield f"names another end of the run than {package.created}"
    if details.metadata.startedOn is not None and details.metadata.startedOn > details.metadata.finishedOn:
        yield "names a run that ended before it began"
    asked, made = options.imatrix, internal.imatrix
    if (asked is None) != (made is None) or (asked and made and made.blocks > asked.blocks):
        yield "names another importance matrix than its recipe"
    names = [each.name for each in details.byproducts]
    matrices = [name for name in names if not name.startswith(f"{ADAPTER_FOLDER}/")]
    if matrices != ([IMATRIX_FILE] if made is not None else []):
        yield "has other byproducts than the adapter and the importance matrix"
    if len(names) == len(matrices) or len(set(names)) != len(names):
        yield "does not name the files of the adapter, each once"
    for each in details.byproducts:
        if each.sha256 is None or each.model_dump(exclude_none=True) != named(each.name, each.sha256):
            yield f"does not name the byproduct {each.name[:200]!r} by its digest"
