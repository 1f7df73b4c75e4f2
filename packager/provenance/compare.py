"""Compare a package with its provenance statement.

    for problem in statement_problems(statement, package, sources):
        print(problem)                  # completes the sentence "The provenance statement ..."

The statement is not signed: it proves nothing about its maker. But a statement about other files, another run
or another recipe than the package's is a forgery or a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from starfreight.files import canonical_json
from starfreight.package import Package
from starfreight.packager.provenance.compare_recipe import PackageSources, recipe_values
from starfreight.packager.provenance.recorded import statement_version
from starfreight.packager.provenance.recorded_loss_check import loss_check_problem
from starfreight.packager.provenance.statement import (
    INVOKER_KEY,
    LOSS_CHECK_KEY,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    TRAINING_KEY,
)
from starfreight.packager.training_method import method_of
from starfreight.strict_json import only_exact, strict_loads

__all__ = ["PackageSources", "is_about", "is_made_up", "statement_problems"]

if TYPE_CHECKING:
    from starfreight.data_manifest import DataManifest
    from starfreight.recipe import Recipe

_MOST_LICENSES = 20_000
_DATA_FILE = re.compile(r"data/[0-9]+/")
WITHOUT_CLAIMS = b'{"_type":"https://in-toto.io/Statement/v1","subject":[]}'
MADE_UP_RECIPE = "sha256:" + "1" * 64
"""The first golden package, ``tests/packager/golden/package-v1``, was made up: it is of no run, and its
statement is about nothing. It has to verify for ever. No recipe has this digest."""


def is_made_up(data: bytes, package: Package) -> bool:
    """True for the made-up golden package, which has no claims to compare."""
    return data == WITHOUT_CLAIMS and package.recipe == MADE_UP_RECIPE


def is_about(data: bytes, digests: Iterable[str]) -> bool:
    """True for a statement whose subjects include all of these files, or that makes no claims."""
    if data == WITHOUT_CLAIMS:
        return True
    try:
        statement = strict_loads(data)
        named = {each["digest"]["sha256"] for each in statement["subject"]}
    except (ValueError, LookupError, TypeError):
        return False
    return named.issuperset(digest.removeprefix("sha256:") for digest in digests)


def statement_problems(
    data: bytes, package: Package, sources: PackageSources, training: DataManifest | None = None
) -> Iterator[str]:
    """The differences between a statement and its package; none for a package as it was built.

    Args:
        data: the statement.
        package: the record.
        sources: other parts of the package.
        training: the data manifest in the package; ``None`` without one.

    Yields:
        Completions of the sentence "The provenance statement ...".
    """
    if is_made_up(data, package):
        return
    try:
        statement = strict_loads(data)
        yield from _differences(_Statement(statement), package, sources)
        yield from _of_its_version(data, statement, package, training)
    except _MalformedError as error:
        yield str(error)
    except ValueError as error:
        yield f"is not valid JSON: {error}"


class _MalformedError(Exception):
    """The statement does not have the structure of one."""


class _Statement:
    """Access to the statement by path, with each name spelled exactly."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def at(self, *path: str) -> Any:
        value = self._value
        for depth, name in enumerate(path):
            if not isinstance(value, dict) or name not in value:
                raise _MalformedError(f"has no {'.'.join(path[: depth + 1])}")
            try:
                only_exact(value, _NAMES)
            except ValueError as error:
                raise _MalformedError(f"is ambiguous: {error}") from error
            value = value[name]
        return value

    def has(self, *path: str) -> bool:
        """True if the last name of a path is in the object before it."""
        parent = self.at(*path[:-1])
        return isinstance(parent, dict) and path[-1] in parent


_NAMES = (
    "_type", "subject", "predicateType", "predicate", "name", "digest", "sha256", "buildDefinition",
    "runDetails", "buildType", "externalParameters", "internalParameters", "resolvedDependencies", "builder",
    "metadata", "byproducts", "recipe", "seeds", "machine", "imatrix", INVOKER_KEY, TRAINING_KEY,
    "quantizations", "recipeDigest", "mergeBase", "invocationId",
    "startedOn", "finishedOn", LOSS_CHECK_KEY, "verdict", "file",
)  # fmt: skip


def _differences(statement: _Statement, package: Package, sources: PackageSources) -> Iterator[str]:
    if statement.at("_type") != STATEMENT_TYPE or statement.at("predicateType") != PREDICATE_TYPE:
        yield f"is not an in-toto statement with the predicate {PREDICATE_TYPE}"
        return
    if _subjects(statement.at("subject")) != _files(package):
        yield "is about other files than the package's"
    details = ("predicate", "runDetails", "metadata")
    build = ("predicate", "buildDefinition")
    if method_of(statement.at(*build, "buildType")) is None:
        yield "has an unknown build type"
        return
    if statement.at(*details, "invocationId") != package.run:
        yield f"names another run than {package.run}"
    if _utc(statement.at(*details, "finishedOn")) != package.created:
        yield f"names another end of the run than {package.created}"
    if statement.at(*build, "internalParameters", "recipeDigest") != package.recipe:
        yield f"names another recipe than {package.recipe}"
    quantizations = [str(variant.quantization) for variant in package.variants]
    if statement.at(*build, "externalParameters", "quantizations") != quantizations:
        yield f"names other quantizations than {', '.join(quantizations)}"
    # Statements about runs without a loss sample have none.
    if statement.has("predicate", "runDetails", LOSS_CHECK_KEY):
        names = [name for name, _ in _files(package)]
        problem = loss_check_problem(statement.at("predicate", "runDetails", LOSS_CHECK_KEY), names)
        if problem is not None:
            yield problem
    recipe = _recipe(statement.at(*build, "externalParameters", "recipe"), package)
    if isinstance(recipe, str):
        yield recipe
    else:
        licenses = partial(_data_licenses, statement)
        for field, expected, found in recipe_values(recipe, package, sources, licenses):
            if expected != found:
                yield f"has a recipe with another {field} than the package"


def _of_its_version(
    data: bytes, statement: Any, package: Package, training: DataManifest | None
) -> Iterator[str]:
    """The differences in the parts that the versions of statements do not share."""
    reader, build = _Statement(statement), ("predicate", "buildDefinition")
    build_type = reader.at(*build, "buildType")
    if method_of(build_type) is None:
        return  # Found above.
    version = statement_version(build_type)
    if version == 1 and package.version > 1:
        yield "is of version 1, which packages of this kind never have"
        return
    recipe = _recipe(reader.at(*build, "externalParameters", "recipe"), package)
    if isinstance(recipe, str):
        return  # Found above.
    if method_of(build_type) != recipe.training.method:
        yield f"has another build type than that of {recipe.training.method}"
    if version == 1:
        yield from _repeated_names(reader.at(*build, "resolvedDependencies"))
    else:
        from starfreight.packager.provenance.compare_v2 import problems_of_v2

        yield from problems_of_v2(data, statement, package, recipe, training)


def _data_licenses(statement: _Statement) -> frozenset[str]:
    """The licenses of the data in a statement of either version; none of too many to be real."""
    dependencies = statement.at("predicate", "buildDefinition", "resolvedDependencies")
    found: set[str] = set()
    for each in dependencies if isinstance(dependencies, list) else ():
        if not isinstance(each, dict) or not str(each.get("name")).startswith("data/"):
            continue
        notes = each.get("annotations")
        notes = notes if isinstance(notes, dict) else {}
        counts = notes.get("licenses", {notes.get("license"): None})
        found |= {name for name in counts if isinstance(name, str)} if isinstance(counts, dict) else set()
        if len(found) > _MOST_LICENSES:
            return frozenset()
    return frozenset(found)


def _repeated_names(dependencies: Any) -> Iterator[str]:
    """Two dependencies of one name, in version 1. Names of data files are unique only in some releases."""
    seen: set[str] = set()
    for each in dependencies if isinstance(dependencies, list) else ():
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or _DATA_FILE.match(name):
            continue
        if name in seen:
            yield f"is ambiguous: two dependencies are called {name[:200]!r}"
        seen.add(name)


def _subjects(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _MalformedError("has subjects that are not a list of files")
    if not all(each.keys() == {"name", "digest"} for each in value):
        raise _MalformedError("has a subject with other keys than name and digest")
    return [(each["name"], each["digest"]) for each in value]


def _files(package: Package) -> list[tuple[Any, Any]]:
    """The subjects of the package's statement, in its order."""
    from starfreight.packager.file_names import lora_name, model_stem

    stem = model_stem(package.name, with_adapter=package.adapter is not None)
    files = [(f"{stem}-{variant.quantization}.gguf", variant.gguf) for variant in package.variants]
    if package.adapter is not None:
        files.append((lora_name(package.name), package.adapter))
    return [(name, {"sha256": file.digest.removeprefix("sha256:")}) for name, file in files]


def _utc(value: Any) -> str | None:
    """A time in the record's format; ``None`` if it is not a time."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError, OverflowError):
        return None


def _recipe(value: Any, package: Package) -> Recipe | str:
    """The recipe, or the problem with it."""
    from starfreight.recipe import Recipe, earlier_recipe_digest, recipe_digest

    try:
        recipe = Recipe.model_validate_json(canonical_json(value))
    except (ValidationError, RecursionError):
        return "has a recipe that this version of Starfreight cannot read"
    if package.recipe not in (recipe_digest(recipe), earlier_recipe_digest(recipe)):
        return f"has a recipe with another digest than {package.recipe}"
    return recipe
