"""The forms of statements: a strict one of version 2, and of version 1 the parts that are read.

Version 2 has no unknown key and no value of another type: a later field means a later version of the build
type. ``docs/build-type.md`` describes the fields.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from starfreight.origin import Invoker
from starfreight.records import Digest, Part
from starfreight.run import Machine

_Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|[0-9a-f]{40})$")]
_Name = Annotated[str, Field(min_length=1, max_length=4200)]
_Uri = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[a-z][a-z0-9+.-]*:[!-~]+$")]
_Time = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9](:[0-5][0-9]){2}Z$", max_length=40)
]
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class ResourceDescriptor(Part):
    """https://github.com/in-toto/attestation, ``resource_descriptor``."""

    name: _Name
    uri: _Uri | None = None
    digest: Annotated[dict[Literal["sha256", "gitCommit"], _Hex], Field(min_length=1)] | None = None
    annotations: dict[str, Any] | None = None

    @property
    def sha256(self) -> str | None:
        """``sha256:...``; ``None`` without such a digest."""
        value = (self.digest or {}).get("sha256")
        return None if value is None else f"sha256:{value}"


class SourceNotes(Part):
    """Annotations of ``data/<number>``."""

    source: str
    revision: str | None = None
    format: str
    license: str | None = None
    licenses: dict[str, LicenseCount]


class LicenseCount(Part):
    """Samples and bytes of a license."""

    samples: _Count
    bytes: _Count


class _Seeds(Part):
    training: _Count


class _Imatrix(Part):
    blocks: Annotated[int, Field(ge=1)]
    tokens: Annotated[int, Field(ge=1)]


class _ExternalParameters(Part):
    recipe: dict[str, Any]
    quantizations: list[str]


class _InternalParameters(Part):
    recipeDigest: Digest
    seeds: _Seeds
    mergeBase: str | None
    machine: Machine | None
    imatrix: _Imatrix | None = None


class _BuildDefinition(Part):
    buildType: str
    externalParameters: _ExternalParameters
    internalParameters: _InternalParameters
    resolvedDependencies: Annotated[tuple[ResourceDescriptor, ...], Field(max_length=50_000)]


class _Builder(Part):
    id: str
    version: dict[Literal["starfreight"], str]


class _Metadata(Part):
    invocationId: str
    startedOn: _Time | None
    finishedOn: _Time


class _Measured(Part):
    loss: float
    tokens: _Count
    exactMatch: float | None
    completions: _Count


class TrainingOutcome(Part):
    """``runDetails.starfreight_training``."""

    steps: _Count
    keptStep: _Count | None
    tokens: _Count
    seconds: float
    before: _Measured | None
    after: _Measured | None


class _RunDetails(Part):
    builder: _Builder
    metadata: _Metadata
    byproducts: Annotated[tuple[ResourceDescriptor, ...], Field(max_length=10_000)]
    starfreight_training: TrainingOutcome
    starfreight_invoker: Invoker | None = None
    starfreight_lossCheck: dict[str, Any] | None = None


class _Predicate(Part):
    buildDefinition: _BuildDefinition
    runDetails: _RunDetails


class StatementV2(Part):
    """The whole statement of version 2."""

    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    predicateType: Literal["https://slsa.dev/provenance/v1"]
    subject: Annotated[tuple[ResourceDescriptor, ...], Field(max_length=1024)]
    predicate: _Predicate

    @property
    def build(self) -> _BuildDefinition:
        """``predicate.buildDefinition``."""
        return self.predicate.buildDefinition

    @property
    def details(self) -> _RunDetails:
        """``predicate.runDetails``."""
        return self.predicate.runDetails


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Sha256(_Loose):
    sha256: str


class _EarlierResource(_Loose):
    name: str
    digest: _Sha256


class _EarlierExternalParameters(_Loose):
    quantizations: list[str]


class _EarlierInternalParameters(_Loose):
    machine: dict[str, Any] | None = None


class _EarlierBuildDefinition(_Loose):
    externalParameters: _EarlierExternalParameters
    internalParameters: _EarlierInternalParameters


class _EarlierBuilder(_Loose):
    id: str


class _EarlierMetadata(_Loose):
    startedOn: str | None
    finishedOn: str | None


class _EarlierRunDetails(_Loose):
    builder: _EarlierBuilder
    metadata: _EarlierMetadata
    byproducts: list[_EarlierResource]


class _EarlierPredicate(_Loose):
    buildDefinition: _EarlierBuildDefinition
    runDetails: _EarlierRunDetails


class StatementV1(_Loose):
    """The parts of a statement of version 1 that are read, without its dependencies."""

    subject: list[_EarlierResource]
    predicate: _EarlierPredicate
