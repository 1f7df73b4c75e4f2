"""Cost of packaging a recipe: file sizes, license and the registry's limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starfreight.checkpoint import ModelShape
from starfreight.recipe import Recipe
from starfreight.recipe.ollama_parameters import parameter_notes


@dataclass(frozen=True)
class PackagePlan:
    """Figures for the package of one variant.

    Attributes:
        files: bytes by quantization; an adapter shipped on its own is called ``LoRA``.
        license: name of the package's license; ``None`` if unknown.
        registry: host of ``publish.reference``; ``None`` if the recipe does not publish.
        registry_limit: largest file accepted there, in bytes; ``None`` if unlimited or unknown.
        notes: on parameters and a template without the expected effect, one sentence each.
    """

    files: Mapping[str, int]
    license: str | None
    registry: str | None
    registry_limit: int | None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


def plan_package(recipe: Recipe, shape: ModelShape, adapter_parameters: int) -> PackagePlan:
    """Predict the package of one variant.

    Args:
        recipe: a recipe without a sweep.
        shape: shape of the base model.
        adapter_parameters: size of the adapter, shipped as F16.

    Raises:
        InputError: ``publish.reference`` is not a valid reference.
        RecipeError: Ollama cannot render ``package.template``.
    """
    from starfreight.base_model import known_license
    from starfreight.packager.build.check_template import template_notes
    from starfreight.packager.press import predict_size
    from starfreight.packager.registry.limits import largest_layer
    from starfreight.registry import parse_destination

    package = recipe.package
    imatrix = package.imatrix is not None
    files = {name.value: predict_size(shape, name, imatrix=imatrix) for name in package.quantizations}
    if package.ship == "adapter":
        files["LoRA"] = 2 * adapter_parameters
    registry = parse_destination(recipe.publish.reference).host if recipe.publish else None
    return PackagePlan(
        files=files,
        license=package.license or known_license(recipe.base),
        registry=registry,
        registry_limit=largest_layer(registry) if registry else None,
        notes=(
            *parameter_notes(package.parameters, shape.sliding_window),
            *template_notes(recipe),
        ),
    )
