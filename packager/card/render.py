"""Render the model card of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from starfreight.base_model import public_name
from starfreight.packager.card.escape import code, inline, link, person
from starfreight.packager.hashed_file import HashedFile, QuantizedFile
from starfreight.packager.loss_check import LossCheck
from starfreight.packager.model_description import ModelDescription
from starfreight.packager.training_method import TRAINING_METHODS
from starfreight.run import Run


def render_card(
    model: ModelDescription,
    run: Run,
    data_manifest: Mapping[str, Any],
    pressed: Sequence[QuantizedFile],
    lora: HashedFile | None = None,
    loss_check: LossCheck | None = None,
) -> bytes:
    """The card in Markdown, with the front matter that model hubs read.

    The template reads the recipe's ``package.card`` itself: a new key there needs only a line in the
    template. Description, intended use and limitations are Markdown; every other value is text and gets a
    filter of :mod:`starfreight.packager.card.escape`.

    Args:
        model: the model's description.
        run: the finished run.
        data_manifest: ``data/manifest.json``.
        pressed: the GGUF files.
        lora: the adapter's file, if the GGUF files are the base model's.
        loss_check: the comparison of a file with training.
    """
    import jinja2

    assert run.outcome is not None
    card = run.recipe.package.card
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    environment.filters |= {"thousands": "{:,}".format, "inline": inline, "person": person, "link": link}
    environment.filters["code"] = code
    template = environment.from_string(
        files("starfreight.packager.card").joinpath("card.md.jinja").read_text(encoding="utf-8")
    )
    doi = card.doi and f"https://doi.org/{card.doi}"
    text: str = template.render(
        model=model,
        card=card,
        links=[link for link in (card.url, card.repository, doi) if link],
        license=run.license,
        files=pressed,
        lora=lora,
        sources=[_source(source) for source in data_manifest["sources"]],
        method=TRAINING_METHODS[run.recipe.training.method],
        training=run.recipe.training,
        merge_base=run.recipe.package.merge.base,
        outcome=run.outcome,
        device=run.machine.device if run.machine else "an unknown machine",
        imatrix=run.imatrix,
        loss_check=loss_check,
    )
    return text.encode()


def _source(source: Mapping[str, Any]) -> dict[str, str | int]:
    """A row of the table of data. Manifests of version 1 have files and one license."""
    if "found" not in source:
        count, size = len(source["files"]), sum(file["size"] for file in source["files"])
        licenses, left_out = source["license"], sum(source["left_out"].values())
    else:
        count, size = (source["train"][key] + source["held_out"][key] for key in ("samples", "bytes"))
        licenses, left_out = ", ".join(source["licenses"]), source["found"] - count
    return {
        "name": public_name(source["source"]),
        "license": licenses,
        "used": count,
        "bytes": size,
        "left_out": left_out,
    }
