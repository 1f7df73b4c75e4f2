"""The metadata inside a package's GGUF files (``general.*``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starfreight.base_model import public_name
from starfreight.packager.build.templates import chat_template
from starfreight.packager.press import ModelIdentity, ModelOrigin
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
    card = run.recipe.package.card
    name = public_name(run.base.model)
    hub = f"https://huggingface.co/{name}" if run.base.revision else None
    return ModelIdentity(
        name=card.title or run.recipe.name,
        description=card.description or None,
        license=run.license,
        source_url=card.url,
        source_doi=card.doi,
        source_repo_url=card.repository,
        base_models=(
            ModelOrigin(
                name=name.rsplit("/", 1)[-1],
                organization=name.split("/")[0] if hub else None,
                version=run.base.revision or run.base.digest,
                repo_url=hub,
            ),
        ),
        datasets=tuple(
            ModelOrigin(name=public_name(source["source"]), version=source["revision"])
            for source in manifest["sources"]
        ),
        tags=("code", "fill-in-the-middle"),
        chat_template=chat_template(run.recipe),
    )
