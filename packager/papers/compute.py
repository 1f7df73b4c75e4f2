"""The compute of a tuning run against its base's: an estimate from the record.

Forward and backward of a weight take 2 + 4 operations per token (the 6ND of the Commission's guidelines). A
LoRA run does not compute the gradients of the frozen weights: 4ND, plus 6 per weight of the adapter, which
has about a hundredth of N. Recomputed activations add 2ND. So 4ND is a lower bound, and 8ND, the cost of
training all weights with recomputation, an upper one. Attention over the context is left out, as in 6ND.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from starfreight.packager.provenance.known_bases import KnownBase

GUIDELINES = (
    "Commission guidelines on the scope of the obligations for providers of general-purpose AI models, "
    "C(2025) 7719 (first published on 18 July 2025)"
)
INDICATIVE = 10**23
"""Training operations from which the guidelines expect a model to be a general-purpose one."""

_LOWER, _UPPER, _WHOLE = 4, 8, 6


@dataclass(frozen=True)
class Compute:
    """Training operations.

    Attributes:
        parameters: weights of the model.
        tokens: tokens of the run; ``None`` if the record does not tell.
        base: the published facts of the base model, if there are any.
    """

    parameters: int
    tokens: int | None
    base: KnownBase | None

    @property
    def lower(self) -> int | None:
        """Lower estimate of the run's operations."""
        return None if self.tokens is None else _LOWER * self.parameters * self.tokens

    @property
    def upper(self) -> int | None:
        """Upper estimate of the run's operations."""
        return None if self.tokens is None else _UPPER * self.parameters * self.tokens

    @property
    def of_base(self) -> int | None:
        """Operations of the base's training, at least: 6ND of the published figures."""
        return None if self.base is None else _WHOLE * self.base.parameters * self.base.tokens

    @property
    def third(self) -> float:
        """A third of the base's operations, or of the indicative criterion if those are unknown."""
        return (self.of_base or INDICATIVE) / 3

    @property
    def verdict(self) -> Literal["below", "above", "between", "unknown"]:
        """The run against that third."""
        if self.lower is None or self.upper is None:
            return "unknown"
        if self.upper <= self.third:
            return "below"
        return "above" if self.lower > self.third else "between"

    def lines(self) -> tuple[str, ...]:
        """The estimate and its consequence, in sentences."""
        if self.lower is None or self.upper is None:
            return (
                "The record does not tell the number of tokens, so that the run's compute is unknown here.",
                "Its run.json does (outcome.tokens): 4 to 8 operations per weight and token.",
            )
        own = (
            f"Own training: {_power(self.lower)} to {_power(self.upper)} floating point operations "
            f"(4 to 8 for each of {self.parameters:,} weights and {self.tokens:,} tokens)."
        )
        return (own, *self._against_base(), _CONSEQUENCES[self.verdict], _OWN_PART)

    def _against_base(self) -> tuple[str, ...]:
        assert self.lower is not None and self.upper is not None
        if self.base is None or self.of_base is None:
            return (
                "The base's training compute is not known here. The guidelines then compare with a third of "
                f"10^23, {_power(self.third)} operations: this run has {_share(self.upper / self.third)} of "
                "that at most.",
            )
        found = [
            f"Base {self.base.title}: at least {_power(self.of_base)} operations (6 for each weight and "
            f"token; {self.base.source}).",
            f"Share of the base's compute: {_share(self.lower / self.of_base)} to "
            f"{_share(self.upper / self.of_base)}.",
        ]
        if self.of_base + self.upper < INDICATIVE:
            found.append(
                "By these figures base and tuning together stay below 10^23 operations, from which on the "
                "guidelines expect a model to be a general-purpose one."
            )
        return tuple(found)


_CONSEQUENCES = {
    "below": "The run is below a third: by this criterion whoever tunes the model does not become the "
    "provider of a general-purpose AI model.",
    "above": "The run is above a third: by this criterion whoever tunes a general-purpose AI model becomes a "
    "provider.",
    "between": "A third lies between the two estimates: count the operations exactly before you decide.",
}
_OWN_PART = (
    "A provider by tuning has duties for its own part alone: the data, compute and method of this run. "
    f"Source of the criterion: {GUIDELINES}."
)


def _power(number: float) -> str:
    digits, _, exponent = f"{number:.1e}".partition("e")
    return f"{digits} * 10^{int(exponent)}"


def _share(part: float) -> str:
    return f"{100 * part:.2g}%" if part >= 1e-6 else "less than 0.0001%"
