"""Typed access to a package's provenance statement.

    recorded = read_provenance(folder, package)
    print(recorded.recipe.name, recorded.base_files, recorded.data_manifest)

A statement is a claim of its maker. Whether it fits the package is checked in
:mod:`starfreight.packager.provenance.compare`, and who made it by its signatures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from starfreight.errors import GateError
from starfreight.files import canonical_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.recipe import Recipe
from starfreight.strict_json import strict_loads

MAX_STATEMENT_BYTES = 1 << 29
"""Statements of version 0.2 and earlier name every file of the training data."""

_BASE, _DATA = "base/", "data/"


@dataclass(frozen=True)
class Dependency:
    """A resolved dependency of the statement.

    Attributes:
        name: such as ``base/model.safetensors``, ``data/manifest.json``, ``image/trainer``; for a library its
            own name.
        digest: ``sha256:...``; ``None`` for a library, or for a digest of another kind.
        uri: a package URL or the address of a repository.
        annotations: further facts.
    """

    name: str
    digest: str | None = None
    uri: str | None = None
    annotations: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Provenance:
    """The claims of a statement, and the statement itself.

    Attributes:
        statement: the whole statement, as parsed JSON.
        recipe: the resolved recipe of the run.
        dependencies: in the statement's order.
        machine: hardware of the training; see :class:`starfreight.run.Machine`.
        adapter: digest by path of each file of the adapter (``adapter/...``).
        imatrix: digest of the importance matrix; ``None`` without one.
        started: begin of the run, as written.
        ended: end of the run, as written.
    """

    statement: Mapping[str, Any]
    recipe: Recipe
    dependencies: tuple[Dependency, ...]
    machine: Mapping[str, Any] | None
    adapter: Mapping[str, str]
    imatrix: str | None
    started: str | None
    ended: str | None

    @property
    def build_type(self) -> str:
        """The statement's ``buildType``."""
        return str(self.statement["predicate"]["buildDefinition"]["buildType"])

    @property
    def base_files(self) -> Mapping[str, str]:
        """Digest by path of each file of the base model."""
        return {
            each.name.removeprefix(_BASE): each.digest
            for each in self.dependencies
            if each.name.startswith(_BASE) and each.digest is not None
        }

    @property
    def data_manifest(self) -> str | None:
        """Digest of the data manifest."""
        return self.digest_of(f"{_DATA}manifest.json")

    @property
    def versions(self) -> Mapping[str, str]:
        """Version by name of each library."""
        return {
            each.name: each.uri.rpartition("@")[2]
            for each in self.dependencies
            if each.uri is not None and each.uri.startswith("pkg:") and "@" in each.uri and not each.digest
        }

    def digest_of(self, name: str) -> str | None:
        """Digest of a dependency; ``None`` without one."""
        return next((each.digest for each in self.dependencies if each.name == name), None)


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
    data = layout.read(package.provenance, MAX_STATEMENT_BYTES)
    try:
        return parse_provenance(data)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise GateError(
            "The provenance statement cannot be read: it is damaged, or of another program.",
            where=layout.where(package.provenance),
            fix="verify the package: starfreight package verify; or get it again from its source",
        ) from error


def parse_provenance(data: bytes) -> Provenance:
    """Read a statement.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is not one.
    """
    statement = strict_loads(data)
    predicate = statement["predicate"]
    build, details = predicate["buildDefinition"], predicate["runDetails"]
    try:
        recipe = Recipe.model_validate_json(canonical_json(build["externalParameters"]["recipe"]))
    except ValidationError as error:
        raise ValueError("the recipe cannot be read") from error
    products = dict(_digests(details["byproducts"]))
    imatrix = next((digest for name, digest in products.items() if not name.startswith("adapter/")), None)
    return Provenance(
        statement=statement,
        recipe=recipe,
        dependencies=tuple(map(_dependency, build["resolvedDependencies"])),
        machine=build["internalParameters"].get("machine"),
        adapter={name: digest for name, digest in products.items() if name.startswith("adapter/")},
        imatrix=imatrix,
        started=details["metadata"].get("startedOn"),
        ended=details["metadata"].get("finishedOn"),
    )


def _dependency(value: Mapping[str, Any]) -> Dependency:
    digest = value.get("digest", {}).get("sha256")
    return Dependency(
        name=str(value["name"]),
        digest=f"sha256:{digest}" if digest is not None else None,
        uri=value.get("uri"),
        annotations=value.get("annotations"),
    )


def _digests(resources: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for each in resources:
        yield str(each["name"]), f"sha256:{each['digest']['sha256']}"
