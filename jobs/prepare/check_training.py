"""Checks of a recipe's training against its base model."""

from __future__ import annotations

from starfreight.checkpoint import ModelShape
from starfreight.errors import RecipeError
from starfreight.jobs.train.model import TARGET_MODULES
from starfreight.recipe import Training


def check_training(training: Training, shape: ModelShape) -> None:
    """Finds errors that otherwise appear when the model is loaded, perhaps hours later on another machine.

    Raises:
        RecipeError: the base model cannot read sequences of this length, or has no such target module.
    """
    length, most = training.sequence_length, shape.context_length
    if length > most:
        raise RecipeError(
            f"The base model reads {most:,} tokens at most, not {length:,}.",
            where="key training.sequence_length",
            fix=f"lower it to {most} or less",
        )
    layers = TARGET_MODULES[shape.architecture]
    unknown = [name for name in training.target_modules if name not in layers]
    if training.target_modules != "auto" and unknown:
        raise RecipeError(
            f"The base model has no linear layer {unknown[0]!r} for an adapter.",
            where="key training.target_modules",
            fix="choose from " + ", ".join(layers),
        )
