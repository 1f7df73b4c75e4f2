"""Checks of a recipe's training against its base model."""

from __future__ import annotations

from pathlib import Path

from starfreight.checkpoint import ModelShape
from starfreight.errors import RecipeError
from starfreight.jobs.prepare.check_processes import check_processes
from starfreight.jobs.train.model import TARGET_MODULES
from starfreight.license_files import read_beside_recipe, require_license_texts
from starfreight.recipe import Recipe, Training
from starfreight.recipe.ollama_parameters import check_context


def check_recipe(
    recipe: Recipe, shape: ModelShape, license_name: str, base: Path | None, folder: Path, *, ship: bool
) -> tuple[bytes, ...]:
    """Checks a recipe without a sweep against its base model, before any data is read.

    Args:
        recipe: the recipe.
        shape: of the base model.
        license_name: of the base model.
        base: the local directory of the base model; ``None`` if it is not on this machine.
        folder: the directory where the recipe's relative paths start.
        ship: require the license texts of a package.

    Returns:
        the texts of the recipe's license files.

    Raises:
        RecipeError: see :func:`check_training` and :func:`check_processes`; ``num_ctx`` is longer than the
            base model's context; or a license file is outside the recipe's directory.
        InputError: a license file cannot be read.
        GateError: with ``ship``, there is no license text.
    """
    check_training(recipe.training, shape)
    check_processes(recipe.training, recipe.run, in_cluster=recipe.run.where == "kubernetes")
    check_context(recipe.package.parameters, shape.context_length)
    texts = read_beside_recipe(recipe.package, folder)
    if ship and base is not None:
        require_license_texts(recipe.package, license_name, base, texts)
    return texts


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
