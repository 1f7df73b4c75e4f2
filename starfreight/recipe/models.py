"""The recipe's keys, their meaning and their defaults. The JSON Schema is generated from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from starfreight.recipe.data import Data
from starfreight.recipe.package import Package
from starfreight.recipe.run import RunOptions
from starfreight.recipe.units import Fraction
from starfreight.recipe.values import Line, RecipePart

_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"


def _not_a_boolean(value: Any) -> Any:
    if isinstance(value, bool):  # Python takes True for 1.
        raise ValueError("has to be a number")
    return value


class Base(RecipePart):
    """The model that training starts from."""

    model: Line
    """A folder in Hugging Face layout (`./starcoder2-3b`), a hub id (`bigcode/starcoder2-3b`), or
    `builtin:starter`, the small model that ships with Starfreight."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit of a hub id, 40 hex digits: a branch or a tag can move, a commit cannot."""
    license: Line | None = None
    """The base model's license, as an SPDX identifier or `LicenseRef-...`."""


class Training(RecipePart):
    """How the adapter is trained. The defaults train well for StarCoder2 3B on a 24 GB GPU."""

    method: Literal["qlora", "lora"] = "qlora"
    """`qlora`: the base in NF4 with double quantisation, the adapter in full precision. `lora`: the base in
    bfloat16, which takes almost four times the memory for its weights."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """The adapter's rank: how much it can learn, and how large it is."""
    alpha: Annotated[int, Field(ge=1, le=4096)] = 32
    """The adapter is scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """The part of the adapter's inputs that is left out at random in training."""
    target_modules: Literal["auto"] | tuple[Line, ...] = "auto"
    """`auto` adapts every linear layer of attention and MLP."""
    sequence_length: Annotated[int, Field(ge=32, le=65536)] = 2048
    """Tokens in one block."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 1
    """Blocks in one forward pass."""
    gradient_accumulation: Annotated[int, Field(ge=1, le=4096)] = 16
    """Forward passes in one step."""
    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimizer steps; instead of `epochs`."""
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Passes over the data; 1 when neither is given. Each pass makes new cuts."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = "auto"
    """The highest one, which the schedule starts from after the warm-up. `auto` goes by the base model's
    size: 1e-4 from ten billion parameters on, 2e-4 from one billion on, 1e-3 from a hundred million on, 2e-3
    below."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls."""
    warmup: Fraction = 0.03
    """The part of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of AdamW."""
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Computes activations again in the backward pass instead of keeping them: much less memory for a third
    more time. `auto` does so on a GPU."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42
    """Of the adapter's weights, the cuts, the order of the data and dropout."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 100
    """Steps between two checkpoints."""
    checkpoints_kept: Annotated[int, Field(ge=2, le=100)] = 2
    """Two at least: the one before counts when the last is damaged."""
    evaluate_every: Annotated[int, Field(ge=1)] = 100
    """Steps between two measurements on the held-out data."""
    keep: Literal["best", "last"] = "best"
    """The adapter of the measurement with the lowest held-out loss, or the one after the last step."""
    early_stopping: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Ends training when so many measurements in a row have brought no lower held-out loss."""
    evaluation_blocks: Annotated[int, Field(ge=1, le=100_000)] = 64
    """At most so many held-out blocks are measured."""
    evaluation_completions: Annotated[int, Field(ge=0, le=10_000)] = 64
    """At most so many held-out lines are completed."""

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("has both steps and epochs: keep one")
        return self


class Publish(RecipePart):
    """Where the package goes."""

    reference: Line
    """`HOST/NAMESPACE/NAME:TAG`"""
    insecure: bool = False
    """Plain http, for a registry on this machine."""


class Recipe(RecipePart):
    """What to train on what, what to ship, and where to."""

    version: Annotated[Literal[1], BeforeValidator(_not_a_boolean)]
    """The version of this format."""
    name: Annotated[str, Field(pattern=_NAME)]
    """Lower-case letters, digits, dots, dashes; names the runs, the files and the model."""
    base: Base
    """The model that training starts from."""
    data: Annotated[tuple[Data, ...], Field(min_length=1)]
    """What it learns from: a list of sources."""
    training: Training = Training()
    """How it learns."""
    package: Package = Package()
    """What is shipped."""
    publish: Publish | None = None
    """Where it is shipped to."""
    run: RunOptions = RunOptions()
    """Where the job runs and what it may use."""
    sweep: dict[Line, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default={})
    """Lists of values by key path (`training.rank: [8, 16]`): one variant for each combination."""

    @model_validator(mode="after")
    def _round_trip_of_what_was_in_nf4(self) -> Recipe:
        if self.package.merge.base == "nf4_roundtrip" and self.training.method != "qlora":
            raise ValueError(
                "has package.merge.base nf4_roundtrip, but training.method lora never saw the base in NF4"
            )
        return self
