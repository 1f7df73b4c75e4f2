"""Compare a package with its provenance statement.

    for problem in statement_problems(statement, package, sources):
        print(problem)                  # completes the sentence "The provenance statement ..."

The statement is not signed: it proves nothing about its maker. But a statement about other files, another run
or another recipe than the package's is a forgery or a mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from starfreight.base_model import public_name
from starfreight.files import canonical_json
from starfreight.package import Package
from starfreight.packager.provenance.recorded_loss_check import loss_check_problem
from starfreight.packager.provenance.statement import LOSS_CHECK_KEY, PREDICATE_TYPE, STATEMENT_TYPE
from starfreight.strict_json import only_exact, strict_loads

if TYPE_CHECKING:
    from starfreight.recipe import Recipe

WITHOUT_CLAIMS = b'{"_type":"https://in-toto.io/Statement/v1","subject":[]}'
MADE_UP_RECIPE = "sha256:" + "1" * 64
"""The first golden package, ``tests/packager/golden/package-v1``, was made up: it is of no run, and its
statement is about nothing. It has to verify for ever. No recipe has this digest."""


@dataclass(frozen=True)
class PackageSources:
    """The parts of a package that follow from the recipe in its statement.

    Attributes:
        authors: named by its ModelPack configs.
        source_url: named by its ModelPack configs.
        texts: bytes of ``template``, ``settings`` and ``system``; those it does not have are left out.
        links: home page and addresses of the data, named by its ModelPack configs; ``None`` in packages
            built by version 0.1.0.
    """

    authors: tuple[str, ...]
    source_url: str | None
    texts: Mapping[str, bytes]
    links: tuple[str | None, tuple[str, ...]] | None = None


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


def statement_problems(data: bytes, package: Package, sources: PackageSources) -> Iterator[str]:
    """The differences between a statement and its package; none for a package as it was built.

    Args:
        data: the statement.
        package: the record.
        sources: other parts of the package.

    Yields:
        Completions of the sentence "The provenance statement ...".
    """
    if is_made_up(data, package):
        return
    try:
        yield from _differences(_Statement(strict_loads(data)), package, sources)
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
    "metadata", "byproducts", "recipe", "quantizations", "recipeDigest", "mergeBase", "invocationId",
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
        for field, expected, found in _recipe_values(recipe, package, sources):
            if expected != found:
                yield f"has a recipe with another {field} than the package"


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


def _recipe_values(
    recipe: Recipe, package: Package, sources: PackageSources
) -> Iterator[tuple[str, object, object]]:
    """Each value that the recipe determines: its name, by the recipe, and in the package."""
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
