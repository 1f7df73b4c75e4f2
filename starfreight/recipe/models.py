"""The recipe's keys, their meaning and their defaults. The JSON Schema is generated from them.

A new key needs a default; a changed default needs a new version of the format. Otherwise recipes of today
change their meaning or their digests (:mod:`starfreight.recipe.identity`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from starfreight.recipe.data import Data
from starfreight.recipe.evaluate import Evaluate
from starfreight.recipe.package import PackageOptions
from starfreight.recipe.run import RunOptions
from starfreight.recipe.units import Fraction
from starfreight.recipe.values import Line, RecipePart, Url

_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"


def _not_a_boolean(value: Any) -> Any:
    if isinstance(value, bool):  # In Python, True equals 1.
        raise ValueError("must be a number")
    return value


class Base(RecipePart):
    """The model to fine-tune."""

    model: Line
    """A directory in Hugging Face layout (`./starcoder2-3b`), a hub id (`bigcode/starcoder2-3b`), an artifact
    of an OCI registry (`oci://HOST/NAMESPACE/NAME@sha256:...`), or `builtin:starter`, the small model that
    ships with Starfreight."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit of a hub id, 40 hex digits: a branch or a tag can move, a commit cannot."""
    license: Line | None = None
    """The base model's license, as an SPDX identifier or `LicenseRef-...`."""


class Training(RecipePart):
    """Settings of the training. The defaults work well for StarCoder2 3B on a 24 GB GPU."""

    method: Literal["qlora", "lora"] = "qlora"
    """`qlora`: the base in NF4 with double quantisation, the adapter in full precision. `lora`: the base in
    bfloat16, with almost four times the memory for its weights."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """The adapter's rank. A higher rank learns more and makes a larger adapter."""
    alpha: Annotated[int, Field(ge=1, le=4096)] = 32
    """Scales the adapter by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Fraction of the adapter's inputs dropped at random during training."""
    target_modules: Literal["auto"] | Annotated[tuple[Line, ...], Field(min_length=1)] = "auto"
    """`auto` adapts every linear layer of attention and MLP."""
    sequence_length: Annotated[int, Field(ge=32, le=65536)] = 2048
    """Tokens per block."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 1
    """Blocks per forward pass."""
    gradient_accumulation: Annotated[int, Field(ge=1, le=4096)] = 16
    """Forward passes per step."""
    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimizer steps; instead of `epochs`."""
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Passes over the data, each with new cuts; 1 if neither `epochs` nor `steps` is given."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = "auto"
    """The peak, reached after the warm-up. `auto` depends on the base model's size: 1e-4 from ten billion
    parameters, 2e-4 from one billion, 1e-3 from a hundred million, 2e-3 below."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Decay of the learning rate after the warm-up."""
    warmup: Fraction = 0.03
    """Fraction of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight decay of AdamW."""
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients with a larger norm are scaled down to this one."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations in the backward pass instead of keeping them: much less memory for a third more
    time. `auto` turns it on for GPUs."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42
    """Seed of the adapter's weights, the cuts, the order of the data, and dropout."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 100
    """Steps between checkpoints."""
    checkpoints_kept: Annotated[int, Field(ge=2, le=100)] = 2
    """Number of checkpoints to keep. At least two: if the last one is damaged, the previous one is used."""
    evaluate_every: Annotated[int, Field(ge=1)] = 100
    """Steps between evaluations on the held-out data."""
    keep: Literal["best", "last"] = "best"
    """`best`: the adapter with the lowest held-out loss. `last`: the adapter of the last step."""
    early_stopping: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Stop after this many evaluations in a row without a lower held-out loss."""
    evaluation_blocks: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Maximum number of held-out blocks in an evaluation."""
    evaluation_completions: Annotated[int, Field(ge=0, le=10_000)] = 64
    """Maximum number of held-out lines to complete."""

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("has both steps and epochs: keep one")
        return self


def _without_pin(value: str) -> str:
    if re.search(r"pin-(value|source)", value, re.IGNORECASE):
        raise ValueError("holds a PIN, and recipes are published")
    return value


ManifestName = Literal["ollama", "modelpack", "docker"]
"""A kind of manifest, named by the clients that read it."""


class Sign(RecipePart):
    """Signatures of the package, made before it is published. They change no file of it. A password or PIN is
    asked for, or taken from the environment variable `STARFREIGHT_KEY_PASSWORD`.
    """

    key: Annotated[Line, AfterValidator(_without_pin)] | None = None
    """Private key: a file, or an address (`pkcs11:...`, `awskms://...`, `gcpkms://...`, `azurekms://...`,
    `hashivault://...`)."""
    certificate: Line | None = None
    """File with the key's certificate by a private CA, in PEM."""
    timestamps: Url | None = None
    """RFC 3161 timestamp authority; required with a certificate."""
    keyless: bool = False
    """Sign through Sigstore as this workflow of GitHub Actions, or as a person in a browser."""
    trust_config: Line | None = None
    """File with the services of a private Sigstore, for keyless signing."""
    legacy: bool = False
    """Add cosign's legacy signatures; with a key alone."""
    model_signing: bool = False
    """Add an OpenSSF model signature."""

    @model_validator(mode="after")
    def _one_signer(self) -> Sign:
        if (self.key is not None) == self.keyless:
            raise ValueError("needs either key or keyless")
        if (self.certificate is None) != (self.timestamps is None) or (self.certificate and self.keyless):
            raise ValueError("needs certificate and timestamps together, and with a key")
        if self.trust_config is not None and not self.keyless:
            raise ValueError("has trust_config without keyless")
        if self.legacy and (self.keyless or self.certificate is not None):
            raise ValueError("has legacy, which is for a key alone")
        return self


class Publish(RecipePart):
    """Destination of the package."""

    reference: Line
    """`HOST/NAMESPACE/NAME:TAG`. Ollama cannot pull deeper paths; other clients can."""
    insecure: bool = False
    """Use plain HTTP, for a registry on this machine."""
    formats: Annotated[tuple[ManifestName, ...], Field(min_length=1)] | None = None
    """Formats to publish: `ollama`, `modelpack` and `docker`. By default the first two; only `modelpack` at a
    path that Ollama cannot pull."""
    sign: Sign | None = None
    """Sign the package before it is published."""

    @field_validator("formats")
    @classmethod
    def _each_format_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("names a format twice")
        return value


class Recipe(RecipePart):
    """A base model, data to train it on, and the package to build and publish."""

    version: Annotated[Literal[1], BeforeValidator(_not_a_boolean)]
    """Version of this format."""
    name: Annotated[str, Field(pattern=_NAME)]
    """Name of the runs, the files and the model: lower-case letters, digits, dots, underscores and dashes."""
    base: Base
    """The model to fine-tune."""
    data: Annotated[tuple[Data, ...], Field(min_length=1)]
    """The sources of training data."""
    training: Training = Training()
    """Settings of the training."""
    package: PackageOptions = PackageOptions()
    """Settings of the package."""
    evaluate: Evaluate | None = None
    """Evaluation of the packaged model."""
    publish: Publish | None = None
    """Destination of the package."""
    run: RunOptions = RunOptions()
    """Where the job runs, and its resources."""
    sweep: dict[Line, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default={})
    """Lists of values by key path (`training.rank: [8, 16]`). Each combination makes one variant."""

    def without_evaluation(self) -> Recipe:
        """The recipe without the keys that judge or sign its results and change no file of a package:
        ``evaluate``, ``package.quality`` and ``publish.sign``.
        """
        package = self.package.model_copy(update={"quality": ()})
        publish = self.publish and self.publish.model_copy(update={"sign": None})
        return self.model_copy(update={"evaluate": None, "package": package, "publish": publish})

    @model_validator(mode="after")
    def _round_trip_of_what_was_in_nf4(self) -> Recipe:
        if self.package.merge.base == "nf4_roundtrip" and self.training.method != "qlora":
            raise ValueError(
                "has package.merge.base nf4_roundtrip, but training.method lora never uses the base in NF4"
            )
        return self
