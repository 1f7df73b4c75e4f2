"""From a run's figures to the card's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from starfreight.base_model import public_name
from starfreight.packager.press import LoraFile, PressedFile
from starfreight.run import Run


def render_card(
    run: Run, data_manifest: Mapping[str, Any], pressed: Sequence[PressedFile], lora: LoraFile | None = None
) -> bytes:
    """The card in Markdown, with the front matter that model hubs read.

    Args:
        run: the finished run.
        data_manifest: ``data/manifest.json``.
        pressed: the GGUF files.
        lora: the adapter's file, where the GGUF files are the base model's.
    """
    import jinja2

    assert run.outcome is not None
    card = run.recipe.package.card
    template = jinja2.Template(
        files("starfreight.packager.card").joinpath("card.md.jinja").read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    text: str = template.render(
        title=card.title or run.recipe.name,
        description=card.description,
        intended_use=card.intended_use,
        limitations=card.limitations,
        authors=card.authors,
        contact=card.contact,
        links=[
            link for link in (card.url, card.repository, card.doi and f"https://doi.org/{card.doi}") if link
        ],
        license=run.license,
        base={"name": public_name(run.base.model), "revision": run.base.revision},
        architecture=run.base.architecture,
        merge_base=run.recipe.package.merge.base,
        parameters=f"{pressed[0].parameters:,}",
        files=[
            {"quantization": f.quantization, "name": f.path.name, "size": f"{f.size:,}", "digest": f.digest}
            for f in pressed
        ],
        lora=lora and {"name": lora.path.name, "size": f"{lora.size:,}", "digest": lora.digest},
        sources=[_source(source) for source in data_manifest["sources"]],
        training=run.recipe.training,
        steps=run.outcome.steps,
        tokens=f"{run.outcome.tokens:,}",
        device=run.machine.device if run.machine else "an unknown machine",
        imatrix=run.imatrix and {"tokens": f"{run.imatrix.tokens:,}", "digest": run.imatrix.imatrix.digest},
        before=run.outcome.before,
        after=run.outcome.after,
    )
    return text.encode()


def _source(source: Mapping[str, Any]) -> dict[str, str]:
    """A row of the table of data. Manifests of version 1 knew files and one license."""
    if "found" not in source:
        count, size = len(source["files"]), sum(file["size"] for file in source["files"])
        licenses, left_out = source["license"], sum(source["left_out"].values())
    else:
        count, size = (source["train"][key] + source["held_out"][key] for key in ("samples", "bytes"))
        licenses, left_out = ", ".join(source["licenses"]), source["found"] - count
    return {
        "name": public_name(source["source"]),
        "license": licenses,
        "used": f"{count:,}",
        "bytes": f"{size:,}",
        "left_out": f"{left_out:,}",
    }
