"""Values of ``auto`` in a recipe, which depend on the base model."""

from __future__ import annotations

from starfreight.checkpoint import ModelShape
from starfreight.recipe import Recipe

_LEARNING_RATES = ((10**10, 1e-4), (10**9, 2e-4), (10**8, 1e-3))
"""Learning rates by the least number of parameters. The first two are those of the QLoRA paper (Dettmers et
al. 2023, appendix B: 2e-4 at 7B and 13B, 1e-4 from 33B on), with the step moved down to StarCoder2 15B; small
models take higher ones."""

_SMALLEST = 2e-3


def with_defaults(recipe: Recipe, shape: ModelShape) -> Recipe:
    """The recipe with a learning rate of ``auto`` replaced by a number."""
    training = recipe.training
    if training.learning_rate != "auto":
        return recipe
    rate = next((rate for size, rate in _LEARNING_RATES if shape.parameters >= size), _SMALLEST)
    return recipe.model_copy(update={"training": training.model_copy(update={"learning_rate": rate})})
