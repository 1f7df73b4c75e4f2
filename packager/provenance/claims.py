"""The claims of a provenance statement, of either version, as typed values.

:mod:`starfreight.packager.provenance.recorded` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starfreight.packager.provenance.addresses import library_version
from starfreight.packager.provenance.source_claims import Dependency, SourceClaim, SourceCommit, source_claim
from starfreight.packager.training_method import method_of
from starfreight.recipe import Recipe
from starfreight.run import DATA_MANIFEST

_BASE, _DATA, _IMAGE, _TRAINING, _PACKAGING = "base/", "data/", "image/", "training/", "packaging/"
_FILE = re.compile(r"data/(0|[1-9][0-9]{0,4})/(.+)", re.S)


@dataclass(frozen=True)
class Provenance:
    """The claims of a statement, and the statement itself.

    Attributes:
        statement: the whole statement, as parsed JSON.
        version: 1 or 2.
        recipe: the resolved recipe of the run.
        dependencies: in the statement's order.
        machine: hardware of the training; see :class:`starfreight.run.Machine`.
        adapter: digest by path of each file of the adapter (``adapter/...``).
        imatrix: digest of the importance matrix; ``None`` without one.
        started: begin of the run, as written.
        ended: end of the run, as written.
    """

    statement: Mapping[str, Any]
    version: int
    recipe: Recipe
    dependencies: tuple[Dependency, ...]
    machine: Mapping[str, Any] | None
    adapter: Mapping[str, str]
    imatrix: str | None
    started: str | None
    ended: str | None
    _by_name: Mapping[str, Dependency] = field(repr=False, compare=False)

    @property
    def build_type(self) -> str:
        """The statement's ``buildType``."""
        return str(self._build["buildType"])

    @property
    def method(self) -> str | None:
        """``training.method`` by the build type; ``None`` for an unknown type."""
        return method_of(self.build_type)

    @property
    def subjects(self) -> Mapping[str, str]:
        """Digest by name of each file that the statement is about."""
        return {str(each["name"]): f"sha256:{each['digest']['sha256']}" for each in self.statement["subject"]}

    @property
    def quantizations(self) -> tuple[str, ...]:
        """The quantizations built."""
        return tuple(self._build["externalParameters"]["quantizations"])

    @property
    def recipe_digest(self) -> str | None:
        """The recorded digest of the recipe."""
        return _text(self._internal.get("recipeDigest"))

    @property
    def merge_base(self) -> str | None:
        """The weights that the adapter was merged into; ``None`` for an adapter beside the base."""
        return _text(self._internal.get("mergeBase"))

    @property
    def seeds(self) -> Mapping[str, int]:
        """Seeds by what they are for."""
        return _object(self._internal.get("seeds")) or {"training": self.recipe.training.seed}

    @property
    def run(self) -> str | None:
        """The run's id."""
        return _text(self._details["metadata"].get("invocationId"))

    @property
    def builder(self) -> str:
        """The builder's id: a URL, in version 1 a URN."""
        return str(self._details["builder"]["id"])

    @property
    def builder_version(self) -> Mapping[str, str]:
        """Versions of the builder's parts."""
        return _object(self._details["builder"].get("version")) or {}

    @property
    def base(self) -> Dependency | None:
        """The base model as a whole: its address and its digest; ``None`` in version 1."""
        return self._by_name.get("base") if self.version > 1 else None

    @property
    def base_files(self) -> Mapping[str, str]:
        """Digest by path of each file of the base model."""
        return self._digests(_BASE)

    @property
    def data_manifest(self) -> str | None:
        """Digest of the data manifest."""
        return self.digest_of(DATA_MANIFEST)

    @property
    def data_lists(self) -> Mapping[str, str]:
        """Digest by path of each list beside the data manifest."""
        found = self._digests(_DATA)
        return {path: digest for path, digest in found.items() if path.endswith(".jsonl") and "/" not in path}

    @property
    def sources(self) -> tuple[SourceClaim, ...]:
        """The sources of training data."""
        if self.version > 1:
            found = (source_claim(each) for each in self.dependencies)
            return tuple(each for each in found if each is not None)
        counts: dict[int, dict[str, int]] = {}
        for number, _, _, license_name in self.data_files():
            by_license = counts.setdefault(number, {})
            by_license[license_name or "NOASSERTION"] = by_license.get(license_name or "NOASSERTION", 0) + 1
        return tuple(
            SourceClaim(
                number=number,
                source=data.source,
                uri=None,
                revision=data.revision,
                license=data.license,
                licenses={name: (samples, 0) for name, samples in counts.get(number, {}).items()},
            )
            for number, data in enumerate(self.recipe.data)
        )

    def data_files(self) -> Iterator[tuple[int, str, str | None, str | None]]:
        """Number of the source, path, digest and license of each data file: in version 1 only."""
        for each in self.dependencies if self.version == 1 else ():
            if (found := _FILE.fullmatch(each.name)) is not None:
                license_name = (each.annotations or {}).get("license")
                yield (
                    int(found[1]),
                    found[2],
                    each.digest,
                    license_name if isinstance(license_name, str) else None,
                )

    @property
    def images(self) -> Mapping[str, str]:
        """Digest of the container image by its part: ``trainer``, ``packager``."""
        if self.version == 1:
            digest = self.digest_of("image")
            return {} if digest is None else {"trainer": digest}
        return self._digests(_IMAGE)

    @property
    def source_commit(self) -> SourceCommit | None:
        """The commit of the recipe's repository, if it is known."""
        found = self._by_name.get("recipe") if self.version > 1 else None
        if found is None or found.git_commit is None:
            return None
        dirty = (found.annotations or {}).get("dirty")
        return SourceCommit(found.uri, found.git_commit, dirty if isinstance(dirty, bool) else None)

    @property
    def versions(self) -> Mapping[str, str]:
        """Version by name of each library of the training."""
        return self._libraries(_TRAINING if self.version > 1 else "")

    @property
    def packaging_versions(self) -> Mapping[str, str]:
        """Version by name of each library that made the files; empty in version 1."""
        return self._libraries(_PACKAGING) if self.version > 1 else {}

    @property
    def invoker(self) -> Mapping[str, Any] | None:
        """The CI job that submitted the run; see :class:`starfreight.origin.Invoker`."""
        return _object(self._details.get("starfreight_invoker"))

    @property
    def training(self) -> Mapping[str, Any] | None:
        """Steps, tokens, seconds and losses of the training; ``None`` in version 1."""
        return _object(self._details.get("starfreight_training"))

    @property
    def loss_check(self) -> Mapping[str, Any] | None:
        """The comparison of a file with training; ``None`` for a run without a sample."""
        return _object(self._details.get("starfreight_lossCheck"))

    def digest_of(self, name: str) -> str | None:
        """Digest of a dependency; ``None`` without one."""
        found = self._by_name.get(name)
        return None if found is None else found.digest

    @property
    def _build(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.statement["predicate"]["buildDefinition"]
        return found

    @property
    def _internal(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._build["internalParameters"]
        return found

    @property
    def _details(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.statement["predicate"]["runDetails"]
        return found

    def _digests(self, start: str) -> Mapping[str, str]:
        return {
            each.name.removeprefix(start): each.digest
            for each in self.dependencies
            if each.name.startswith(start) and each.digest is not None
        }

    def _libraries(self, start: str) -> Mapping[str, str]:
        found = {}
        for each in self.dependencies:
            version = library_version(each.uri) if each.uri is not None and not each.digest else None
            if each.name.startswith(start) and version is not None:
                found[each.name.removeprefix(start)] = version
        return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None
