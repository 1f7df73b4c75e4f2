"""The keys of a policy file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starfreight.packager.provenance.trust.fulcio_extensions import CLAIMS
from starfreight.recipe.evaluate import QualityRule
from starfreight.recipe.units import Duration
from starfreight.recipe.values import Line, RecipePart, Text

Pattern = Annotated[Line, Field(max_length=500)]
"""Exact, or with ``*`` for any text without a slash and ``**`` for any text."""
Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Many = Field(min_length=1, max_length=1000)


class Identity(RecipePart):
    """A signer known by its certificate. Everything given has to match."""

    identity: Pattern | None = None
    """Subject alternative name of the certificate; for a workflow of GitHub Actions its address with its ref:
    `https://github.com/acme/coder/.github/workflows/train.yml@refs/tags/**`."""
    issuer: Line | None = None
    """OpenID Connect issuer, exact, such as `https://token.actions.githubusercontent.com`. Required without
    `trusted_root`."""
    claims: dict[Line, Pattern] = Field(default_factory=dict)
    """More claims of the certificate by Fulcio's names, such as `source_repository_uri`,
    `build_signer_uri`, `runner_environment`, `source_repository_owner_uri`."""

    @model_validator(mode="after")
    def _something(self) -> Identity:
        if self.identity is None and not self.claims:
            raise ValueError("needs an identity or claims")
        for name in self.claims:
            if name not in CLAIMS:
                raise ValueError(f"has the unknown claim {name!r}; known are {', '.join(CLAIMS)}")
        return self


class Signers(RecipePart):
    """Trusted signers. Each manifest needs a signature by one of them."""

    keys: Annotated[tuple[Text, ...], Field(max_length=1000)] = ()
    """Public keys (ECDSA on P-256): files beside the policy, or the PEM text itself."""
    identities: Annotated[tuple[Identity, ...], Field(max_length=1000)] = ()
    """Identities in certificates."""
    trusted_root: Line | None = None
    """File beside the policy with the root of a private CA or a Sigstore instance, as `gh attestation verify
    --custom-trusted-root` takes it. The default is Sigstore's public instance."""

    @model_validator(mode="after")
    def _somebody(self) -> Signers:
        if not self.keys and not self.identities:
            raise ValueError("needs keys or identities")
        if self.trusted_root is not None and not self.identities:
            raise ValueError("has a trusted_root without identities")
        return self


class BaseModelRule(RecipePart):
    """An allowed base model. Everything given has to match."""

    name: Pattern
    """Name: `bigcode/starcoder2-3b`, `bigcode/*`, `builtin:starter`."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """Commit on the hub, 40 hex digits."""
    digest: Sha256 | None = None
    """Digest of the list of its files, as `package inspect` shows it."""


class Licenses(RecipePart):
    """Allowed licenses, as SPDX ids or `LicenseRef-...`. Of an expression with OR, one side has to be
    allowed; of one with AND, both.
    """

    model: Annotated[tuple[Line, ...], Many] | None = None
    """Licenses of the model itself."""
    data: Annotated[tuple[Line, ...], Many] | None = None
    """Licenses of the training data: of every sample. `NOASSERTION` allows unknown ones."""


class Builder(RecipePart):
    """An allowed builder. Everything given has to match."""

    id: Pattern | None = None
    """Builder's id in the provenance statement, such as `https://starfreight.dev/builders/container`."""
    images: Annotated[tuple[Sha256, ...], Many] | None = None
    """Allowed digests of the container images of training and packaging. A build without an image is
    refused."""
    workflow: Pattern | None = None
    """Workflow that built it: `https://github.com/acme/coder/.github/workflows/train.yml@refs/tags/**`. Read
    from the signer's certificate, or without one from the provenance statement."""

    @model_validator(mode="after")
    def _something(self) -> Builder:
        if self.id is None and self.images is None and self.workflow is None:
            raise ValueError("needs an id, images or a workflow")
        return self


class DataRules(RecipePart):
    """Training data."""

    sources: Annotated[tuple[Pattern, ...], Many] | None = None
    """Allowed sources, as in the recipe: `./src`, `git:https://github.com/acme/*`."""
    forbidden_sources: Annotated[tuple[Pattern, ...], Field(max_length=1000)] = ()
    """Forbidden sources."""
    forbidden_repositories: Annotated[tuple[Pattern, ...], Field(max_length=1000)] = ()
    """Forbidden repositories, such as `owner/*`, with the host or without. Upper and lower case are equal.
    Needs the data manifest in the package."""
    opt_out: Line | None = None
    """File beside the policy with repositories and SWHIDs that must not be in the data, one per line, as for
    the recipe's `filters.opt_out`. Needs the data manifest in the package."""
    manifest: bool = False
    """Requires the data manifest in the package."""


class Required(RecipePart):
    """Evidence that a package has to have."""

    signed: bool = False
    """A signature by a trusted signer on each manifest."""
    bom: bool = False
    """A bill of materials."""
    evaluation: bool = False
    """Figures of an evaluation of the default variant."""
    source_commit: bool = False
    """The commit of the recipe's repository, without uncommitted changes."""
    not_older_than: Duration | None = None
    """Largest age of the package, e.g. `180d`."""


class PolicyFile(RecipePart):
    """Rules for packages. All sections are optional; a section that is given has to be met."""

    version: Literal[1]
    """Version of this format: 1."""
    signers: Signers | None = None
    """Trusted signers."""
    bases: Annotated[tuple[BaseModelRule, ...], Many] | None = None
    """Allowed base models."""
    licenses: Licenses | None = None
    """Allowed licenses."""
    figures: Annotated[tuple[QualityRule, ...], Many] | None = None
    """Bounds on figures of evaluations, as in the recipe's `package.quality`. With `signers`, only signed
    figures count."""
    builders: Annotated[tuple[Builder, ...], Many] | None = None
    """Allowed builders."""
    data: DataRules | None = None
    """Rules for the training data."""
    require: Required | None = None
    """Required evidence."""
