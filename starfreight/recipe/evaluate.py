"""The recipe's ``evaluate``: suites to run on the packaged model; and ``package.quality``, the gate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from starfreight.recipe.values import Line, RecipePart

SuiteName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


class SuiteChoice(RecipePart):
    """Options of a suite."""

    limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Maximum number of problems, chosen at random by `evaluate.seed`. The default depends on the suite:
    200 places of `fim`, all problems of `humaneval`."""
    samples: Annotated[int, Field(ge=1, le=1000)] = 1
    """Completions of each problem."""
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Temperature of sampling. 0 takes the most likely token each time."""
    file: Line | None = None
    """File or directory with the problems, or a hub id, for suites without problems of their own."""


class Evaluate(RecipePart):
    """Evaluation of the packaged model, after packaging."""

    suites: Annotated[dict[SuiteName, SuiteChoice], Field(min_length=1)]
    """Suites by name, with their options: `{fim: {limit: 200}, humaneval: {}}`."""
    quantizations: Literal["default", "all"] = "default"
    """Quantizations to evaluate: the package's default, or all of them."""
    baselines: tuple[Literal["base", "F16"], ...] = ()
    """Models to evaluate beside it: `base`, the base model in the same quantization; `F16`, the tuned one in
    16 bits."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of sampling and of the choice of problems."""
    seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Time limit of a generated program, in seconds."""
    model: Line | None = None
    """Package, run, GGUF file or `oci://` reference to evaluate, for a job of its own in a cluster. The
    package of this recipe by default."""


class QualityRule(RecipePart):
    """A bound on a figure of a suite. Exactly one of the bounds is given."""

    suite: SuiteName
    """The suite, e.g. `fim`."""
    figure: Line
    """The figure, e.g. `exact_match`, `pass@1`, `kl_divergence`; of a part of the suite,
    `exact_match/Python`."""
    at_least: FiniteFloat | None = None
    """Smallest value."""
    at_most: FiniteFloat | None = None
    """Largest value."""
    not_below: Literal["base", "F16"] | None = None
    """Not significantly worse than the base model in the same quantization, or than the tuned model in 16
    bits, on the same problems (one-sided test, 5 %). It needs that one among `evaluate.baselines`."""
    within: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    """With `not_below`: instead of the test, the value may be worse by this much, e.g. 0.02 for two
    points."""

    @model_validator(mode="after")
    def _one_bound(self) -> QualityRule:
        given = [self.at_least, self.at_most, self.not_below]
        if sum(each is not None for each in given) != 1:
            raise ValueError("needs exactly one of at_least, at_most and not_below")
        if self.within and self.not_below is None:
            raise ValueError("has within without not_below")
        return self
