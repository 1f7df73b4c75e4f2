"""The resources of a pod that evaluates a model: from the size of its file, where that is known."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import RecipeError, StarfreightError
from starfreight.jobs.planning.model_shapes import PUBLISHED, base_shape
from starfreight.jobs.planning.pod import PodResources
from starfreight.package import PACKAGE_FILE, Package
from starfreight.recipe import Recipe

_GIB = 2**30
_MIB = 2**20
_CPUS = 4
_LIBRARIES = 1 * _GIB
"""Python, llama.cpp and the suites."""
_CONTEXT = 1 * _GIB
"""The caches of all slots."""
_SANDBOX = 1 * _GIB
"""Two boxes with generated code, each at its limit."""
_SMALL_DISK = 64 * _MIB
_SCRATCH = 2 * _GIB
_GRACE = 60


def plan_evaluation_pod(recipe: Recipe, folder: Path) -> PodResources:
    """The resources of a pod that evaluates; values given by the recipe take precedence.

    Args:
        recipe: with ``evaluate.model``.
        folder: a directory of packages here may be known below it, too. Nothing is fetched.

    Raises:
        RecipeError: the size of the model is unknown, and the recipe does not give the memory of a pod.
    """
    options = recipe.run.kubernetes
    cpus = options.cpus or recipe.run.threads or _CPUS
    gpus = recipe.run.gpus if isinstance(recipe.run.gpus, int) else 0
    memory = recipe.run.memory
    size = _model_size(recipe, folder)
    if memory is None:
        if size is None:
            raise RecipeError(
                "The size of the model is unknown: its package is not on this machine.",
                where="key evaluate.model",
                fix="set run.memory (option --memory) to about its file's size and 3 GB",
            )
        memory = _whole(_LIBRARIES + _CONTEXT + _SANDBOX + size + _SMALL_DISK)
    # A fetched package has all of its variants.
    fetched = 4 * size if size is not None and options.runs_claim is None else 0
    return PodResources(
        cpus=cpus,
        threads=recipe.run.threads or cpus,
        memory=memory,
        gpus=gpus,
        shared_memory=options.shared_memory or _SMALL_DISK,
        ephemeral_storage=options.ephemeral_storage or _whole(_SCRATCH + fetched),
        checkpoint_grace=options.checkpoint_grace or _GRACE,
    )


def _model_size(recipe: Recipe, folder: Path) -> int | None:
    """Bytes of the largest file that may be read; ``None`` if it is unknown here."""
    model = recipe.evaluate.model if recipe.evaluate is not None else None
    if model is not None:
        package = folder / model
        if (package / PACKAGE_FILE).is_file():
            try:
                return max(variant.gguf.size for variant in Package.load(package).variants)
            except StarfreightError:
                return None
        if package.suffix == ".gguf" and package.is_file():
            return package.stat().st_size
    if recipe.base.model in PUBLISHED or (folder / recipe.base.model / "config.json").is_file():
        # No variant is larger than the base model in 16 bits.
        return 2 * base_shape(recipe.base, folder).parameters
    return None


def _whole(amount: float) -> int:
    unit = 256 * _MIB
    return -int(-amount // unit) * unit
