"""From a finished run to the description of its model."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError

from starfreight.base_model import public_name
from starfreight.checkpoint import ModelShape
from starfreight.errors import RecipeError
from starfreight.package import BaseOrigin
from starfreight.packager.build.dataset_urls import dataset_urls
from starfreight.packager.build.templates import settings, template_text
from starfreight.packager.model_description import LicenseText, ModelDescription
from starfreight.quantization import Quantization
from starfreight.recipe.ollama_parameters import check_context, check_parameters
from starfreight.run import Run


def describe(
    run: Run,
    shape: ModelShape,
    licenses: tuple[LicenseText, ...],
    quantizations: tuple[Quantization, ...],
) -> ModelDescription:
    """The description of the tuned model.

    Args:
        run: the finished run.
        shape: of the base model.
        licenses: of the tuned model.
        quantizations: those in the package. The first one is the default if the recipe's default is not among
            them.

    Raises:
        RecipeError: a text of the recipe cannot be in a package, or a parameter suits neither Ollama nor the
            base model.
    """
    package, card = run.recipe.package, run.recipe.package.card
    assert run.ended is not None
    # An earlier version may have trained the run; since then, loading a recipe checks them.
    check_parameters(package.parameters, f"the recipe of run {run.id}")
    check_context(package.parameters, shape.context_length)
    try:
        return ModelDescription(
            name=run.recipe.name,
            title=card.title or run.recipe.name,
            description=card.description,
            created=datetime.fromisoformat(run.ended).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            run=run.id,
            recipe=run.recipe_digest,
            base=BaseOrigin(
                name=public_name(run.base.model), revision=run.base.revision, digest=run.base.digest
            ),
            architecture=run.base.architecture,
            parameters=shape.parameters,
            context_length=shape.context_length,
            default=package.default if package.default in quantizations else quantizations[0],
            authors=card.authors,
            source_url=card.repository or card.url,
            doc_url=card.url,
            dataset_urls=dataset_urls(run.recipe),
            template=template_text(run.recipe),
            settings=settings(run.recipe, run.base.architecture, shape.context_length, shape.sliding_window),
            system=package.system,
            sliding_window=shape.sliding_window,
            licenses=licenses,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RecipeError(
            f"The package cannot be described: {first['msg']}.",
            where=f"the model's {'.'.join(str(part) for part in first['loc'])}, from run {run.id}",
            fix="correct name, license or package.card in the recipe",
        ) from error
