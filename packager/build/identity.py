"""The metadata inside a package's GGUF files (``general.*``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starfreight.base_model import known_license, public_name
from starfreight.licenses.data_terms import joint_license
from starfreight.packager.build.templates import chat_template
from starfreight.packager.model_license import model_license
from starfreight.packager.press import ModelIdentity, ModelOrigin
from starfreight.public_source import public_source
from starfreight.recipe import Recipe
from starfreight.run import Run

SHARED_BASE = ModelIdentity(name="")
"""For a base model beside an adapter: empty. Its bytes follow from the base's files and the quantization
alone, however a recipe spells its name, so all packages of one base share it. The adapter's file and the
package identify the model."""


def tuned_identity(run: Run, manifest: Mapping[str, Any]) -> ModelIdentity:
    """The metadata of the tuned model, merged or as an adapter.

    Args:
        run: the finished run.
        manifest: ``data/manifest.json``.
    """
    sources = [(source["source"], source["revision"]) for source in manifest["sources"]]
    base = run.base
    license_name = model_license(run, manifest)
    return _identity(run.recipe, base.model, base.revision, base.digest, license_name, sources)


def recorded_identity(recipe: Recipe, base_digest: str, terms: Sequence[str] = ()) -> ModelIdentity:
    """The same metadata, from the parts that a package's statement records.

    Args:
        recipe: in the statement.
        base_digest: digest of the list of the base model's files.
        terms: licenses of the data that the package names beside the base's.
    """
    license_name = recipe.package.license or joint_license(known_license(recipe.base) or "", terms)
    sources = [(public_source(data.source), data.revision) for data in recipe.data]
    base = recipe.base
    return _identity(recipe, base.model, base.revision, base_digest, license_name, sources)


def _identity(
    recipe: Recipe,
    model: str,
    revision: str | None,
    base_digest: str,
    license_name: str,
    sources: Iterable[tuple[str, str | None]],
) -> ModelIdentity:
    card = recipe.package.card
    name = public_name(model)
    hub = f"https://huggingface.co/{name}" if revision else None
    return ModelIdentity(
        name=card.title or recipe.name,
        description=card.description or None,
        license=license_name,
        source_url=card.url,
        source_doi=card.doi,
        source_repo_url=card.repository,
        base_models=(
            ModelOrigin(
                name=name.rsplit("/", 1)[-1],
                organization=name.split("/")[0] if hub else None,
                version=revision or base_digest,
                repo_url=hub,
            ),
        ),
        datasets=tuple(ModelOrigin(name=public_name(source), version=version) for source, version in sources),
        tags=("code", "fill-in-the-middle"),
        chat_template=chat_template(recipe),
    )
