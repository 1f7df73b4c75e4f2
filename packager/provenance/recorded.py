"""Typed access to a package's provenance statement, of either version.

    recorded = read_provenance(folder, package)
    print(recorded.recipe.name, recorded.base_files, recorded.data_manifest)

A statement is a claim of its maker. :mod:`starfreight.packager.provenance.compare` checks that it fits the
package, and its signatures tell who made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from starfreight.errors import GateError
from starfreight.files import canonical_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.provenance.claims import Provenance
from starfreight.packager.provenance.source_claims import (
    Dependency,
    SourceClaim,
    SourceCommit,
    source_claim,
)
from starfreight.packager.training_method import TRAINING_METHODS
from starfreight.recipe import Recipe
from starfreight.strict_json import strict_loads

__all__ = [
    "MAX_STATEMENT_BYTES", "Dependency", "Provenance", "SourceClaim", "SourceCommit", "parse_provenance",
    "parse_recipe", "read_provenance", "statement_limit", "statement_version",
]  # fmt: skip

MAX_STATEMENT_BYTES = 1 << 29
"""Of version 1, whose statements name every file of the training data; see :func:`statement_limit`."""
_LIMIT = 64 << 20


def read_provenance(folder: Path, package: Package | None = None) -> Provenance:
    """Read the statement in a package.

    Args:
        folder: the package's directory.
        package: its record, if it is loaded.

    Raises:
        InputError: no package there.
        GateError: the statement is missing, damaged or not one of Starfreight's.
    """
    package = package or Package.load(folder)
    layout = ImageLayout(folder)
    data = layout.read(package.provenance, statement_limit(package))
    try:
        return parse_provenance(data)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise GateError(
            "The provenance statement cannot be read: it is damaged, or of another program.",
            where=layout.where(package.provenance),
            fix="verify the package: starfreight package verify; or get it again from its source",
        ) from error


def statement_limit(package: Package) -> int:
    """The largest size of a package's statement in bytes."""
    return _LIMIT if package.version > 1 else MAX_STATEMENT_BYTES


def parse_provenance(data: bytes) -> Provenance:
    """Read a statement.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is not one.
    """
    from starfreight.packager.provenance.predicate import StatementV1, StatementV2

    statement = strict_loads(data)
    predicate = statement["predicate"]
    build, details = predicate["buildDefinition"], predicate["runDetails"]
    version = statement_version(build["buildType"])
    if version > 1:
        StatementV2.model_validate_json(data)
    else:
        StatementV1.model_validate(statement)
    recipe = parse_recipe(build["externalParameters"]["recipe"])
    products = dict(_digests(details["byproducts"]))
    imatrix = next((digest for name, digest in products.items() if not name.startswith("adapter/")), None)
    found = tuple(map(_dependency, build["resolvedDependencies"]))
    by_name = {each.name: each for each in found}
    if len(by_name) != len(found) and version > 1:
        raise ValueError("two dependencies have one name")
    if version > 1:
        for each in found:
            source_claim(each)  # Refuses a source without its facts.
    return Provenance(
        statement=statement,
        version=version,
        recipe=recipe,
        dependencies=found,
        machine=build["internalParameters"].get("machine"),
        adapter={name: digest for name, digest in products.items() if name.startswith("adapter/")},
        imatrix=imatrix,
        started=details["metadata"].get("startedOn"),
        ended=details["metadata"].get("finishedOn"),
        _by_name=by_name,
    )


def parse_recipe(value: Any) -> Recipe:
    """The recipe in a statement.

    Raises:
        ValueError: this version of Starfreight cannot read it.
    """
    try:
        return Recipe.model_validate_json(canonical_json(value))
    except (ValidationError, RecursionError) as error:
        raise ValueError("the recipe cannot be read") from error


def statement_version(build_type: object) -> int:
    """The version of a statement by its build type; unknown types count as version 1, and fit no package."""
    return 2 if any(each.build_type == build_type for each in TRAINING_METHODS.values()) else 1


def _dependency(value: Mapping[str, Any]) -> Dependency:
    digests = value.get("digest", {})
    digest, commit = digests.get("sha256"), digests.get("gitCommit")
    uri, notes = value.get("uri"), value.get("annotations")
    return Dependency(
        name=str(value["name"]),
        digest=f"sha256:{digest}" if digest is not None else None,
        uri=uri if isinstance(uri, str) else None,
        annotations=notes if isinstance(notes, dict) else None,
        git_commit=commit if isinstance(commit, str) else None,
    )


def _digests(resources: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for each in resources:
        yield str(each["name"]), f"sha256:{each['digest']['sha256']}"
