"""Compare the resolved dependencies of a statement of version 2 with its package and its recipe.

Each resource is made again as packages are built with it, as far as the package determines it, and has to be
the same. Nothing else may be in the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from starfreight.base_model import known_license
from starfreight.data_manifest import DataManifest
from starfreight.files import canonical_json, sha256_bytes
from starfreight.origin import RecipeSource
from starfreight.package import Package
from starfreight.packager.provenance.addresses import library_url, library_version
from starfreight.packager.provenance.dependencies import (
    DATA_FOLDER,
    Resource,
    base_file,
    base_of_recipe,
    named,
    recipe_resource,
    source_resource,
    summary_resource,
)
from starfreight.packager.provenance.predicate import ResourceDescriptor, SourceNotes
from starfreight.public_source import public_source
from starfreight.recipe import Recipe
from starfreight.records import FileDigest
from starfreight.run import DATA_MANIFEST

_LIST = re.compile(r"data/(left_out|records-(0|[1-9][0-9]{0,4}))\.jsonl")
_SOURCE = re.compile(r"data/(0|[1-9][0-9]{0,4})")
_IMAGE = re.compile(r"image/(trainer|packager)")
_LIBRARY = re.compile(r"(?:training|packaging)/([a-z0-9][a-z0-9._-]{0,99})")


@dataclass(frozen=True)
class Compared:
    """A statement of version 2 with the parts of its package that determine it.

    Attributes:
        resources: the dependencies as parsed, by name.
        raw: the same as plain data.
        package: the record.
        recipe: the recipe in the statement.
        training: the package's data manifest; ``None`` without one.
    """

    resources: Mapping[str, ResourceDescriptor]
    raw: Mapping[str, Resource]
    package: Package
    recipe: Recipe
    training: DataManifest | None

    def named(self, start: str) -> list[str]:
        """The names that start with a text, in the statement's order."""
        return [name for name in self.raw if name.startswith(start)]


def dependency_problems(compared: Compared) -> Iterator[str]:
    """The differences of the dependencies.

    Yields:
        Completions of the sentence "The provenance statement ...".
    """
    for check in (_base, _base_files, _manifest, _lists, _sources, _others):
        yield from check(compared)


def _base(compared: Compared) -> Iterator[str]:
    base, package = compared.recipe.base, compared.package
    expected = base_of_recipe(base.model, base.revision, package.base.digest, known_license(base) or "")
    if compared.raw.get("base") != expected:
        yield f"names another base model than {package.base.name}, with other files or another license"


def _base_files(compared: Compared) -> Iterator[str]:
    files = []
    for name in compared.named("base/"):
        found = compared.resources[name]
        try:
            file = FileDigest(
                path=name.removeprefix("base/"),
                digest=found.sha256 or "",
                size=(found.annotations or {}).get("size"),  # type: ignore[arg-type]
            )
        except ValidationError:
            yield f"has a file of the base model without a path, a digest or a size: {name[:200]!r}"
            return
        if compared.raw[name] != base_file(file):
            yield f"has a file of the base model with other facts than its digest and size: {name[:200]!r}"
        files.append(file)
    if sha256_bytes(canonical_json([file.model_dump() for file in files])) != compared.package.base.digest:
        yield f"names other files of the base model than those of {compared.package.base.digest}"


def _manifest(compared: Compared) -> Iterator[str]:
    digest = compared.resources[DATA_MANIFEST].sha256 if DATA_MANIFEST in compared.resources else None
    if digest is None or compared.raw[DATA_MANIFEST] != named(DATA_MANIFEST, digest):
        yield "does not name the data manifest by its digest"
        return
    shipped = compared.package.training_data
    included = compared.recipe.package.data_manifest == "include"
    if shipped is None:
        # A manifest of an earlier release has no lists, and is never in a package.
        if included and any(map(_LIST.fullmatch, compared.raw)):
            yield "names a data manifest that the package lacks"
        return
    if not included:
        yield "has a recipe that keeps the data manifest out of the package"
    if shipped.manifest.digest != digest:
        yield f"names another data manifest than {shipped.manifest.digest}"


def _lists(compared: Compared) -> Iterator[str]:
    found = {
        name.removeprefix(DATA_FOLDER): resource
        for name, resource in compared.raw.items()
        if _LIST.fullmatch(name)
    }
    for path, resource in found.items():
        digest = compared.resources[DATA_FOLDER + path].sha256
        if digest is None or resource != named(DATA_FOLDER + path, digest):
            yield f"does not name the list {path} by its digest"
    shipped = compared.package.training_data
    if shipped is not None:
        digests = {each.path: each.file.digest for each in shipped.lists}
        if {path: compared.resources[DATA_FOLDER + path].sha256 for path in found} != digests:
            yield "names other lists of the data than the package's"


def _sources(compared: Compared) -> Iterator[str]:
    recipe = compared.recipe
    names = [name for name in compared.raw if _SOURCE.fullmatch(name)]
    if names != [f"{DATA_FOLDER}{number}" for number in range(len(recipe.data))]:
        yield "names other sources of data than its recipe"
        return
    manifest = compared.resources.get(DATA_MANIFEST)
    digest = (manifest.sha256 if manifest is not None else None) or ""
    for number, data in enumerate(recipe.data):
        raw = compared.raw[names[number]]
        try:
            notes = SourceNotes.model_validate(compared.resources[names[number]].annotations or {})
        except ValidationError:
            yield f"has no valid facts about the source data.{number}"
            continue
        source = {
            "source": public_source(data.source),
            "revision": data.revision,
            "format": data.format,
            "license": data.license,
        }
        licenses = {name: count.model_dump() for name, count in notes.licenses.items()}
        if raw != source_resource(number, digest, source, licenses):
            yield f"describes the source data.{number} otherwise than its recipe"
    yield from _summaries(compared, names, digest)


def _summaries(compared: Compared, names: Sequence[str], digest: str) -> Iterator[str]:
    training = compared.training
    if training is None:
        return
    if len(training.sources) != len(names):
        yield "names another number of sources than the data manifest"
        return
    for number, summary in enumerate(training.sources):
        expected = summary_resource(number, digest, summary)
        found = compared.raw[names[number]]
        if _licenses(found) != _licenses(expected):
            yield f"names other licenses of the source data.{number} than the data manifest"
        elif found != expected:
            yield f"describes the source data.{number} otherwise than the data manifest"


def _licenses(resource: Resource) -> Any:
    return (resource.get("annotations") or {}).get("licenses")


def _others(compared: Compared) -> Iterator[str]:
    for name, resource in compared.raw.items():
        check = next((check for pattern, check in _CHECKS if pattern.fullmatch(name)), None)
        if check is None:
            yield f"names an unknown dependency {name[:200]!r}"
        elif not check(compared.resources[name], resource):
            yield f"describes the dependency {name[:200]!r} in another way than packages are built with"


def _is_recipe(found: ResourceDescriptor, raw: Resource) -> bool:
    try:
        source = RecipeSource(
            uri=found.uri,
            commit=(found.digest or {}).get("gitCommit", ""),
            dirty=(found.annotations or {}).get("dirty"),
        )
    except ValidationError:
        return False
    return raw == recipe_resource(source)


def _is_image(found: ResourceDescriptor, raw: Resource) -> bool:
    return found.sha256 is not None and raw == named(found.name, found.sha256)


def _is_library(found: ResourceDescriptor, raw: Resource) -> bool:
    version = library_version(found.uri or "")
    name = found.name.partition("/")[2]
    return version is not None and raw == {"name": found.name, "uri": library_url(name, version)}


def _is_checked(found: ResourceDescriptor, raw: Resource) -> bool:
    return True


_CHECKS: tuple[tuple[re.Pattern[str], Callable[[ResourceDescriptor, Resource], bool]], ...] = (
    (re.compile(r"base|base/.+|data/manifest\.json", re.S), _is_checked),
    (_LIST, _is_checked),
    (_SOURCE, _is_checked),
    (re.compile("recipe"), _is_recipe),
    (_IMAGE, _is_image),
    (_LIBRARY, _is_library),
)
