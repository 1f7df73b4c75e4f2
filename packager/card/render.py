"""Render the model card of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from starfreight.checkpoint.tokenizer import FIM_TOKENS
from starfreight.console import human_count
from starfreight.packager.card.escape import code, inline, link, person
from starfreight.packager.card.front_matter import front_matter
from starfreight.packager.card.terms import license_address, notices, restrictions
from starfreight.packager.card.training_data import training_data
from starfreight.packager.hashed_file import HashedFile, QuantizedFile
from starfreight.packager.loss_check import LossCheck
from starfreight.packager.model_description import ModelDescription
from starfreight.packager.model_license import model_license, own_terms
from starfreight.packager.training_method import TRAINING_METHODS
from starfreight.recipe import Recipe
from starfreight.run import Run

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_/@-]{2,300}")
_SOFTWARE = ("torch", "transformers", "peft", "bitsandbytes", "python")


def render_card(
    model: ModelDescription,
    run: Run,
    data_manifest: Mapping[str, Any],
    pressed: Sequence[QuantizedFile],
    lora: HashedFile | None = None,
    loss_check: LossCheck | None = None,
    *,
    documents: Sequence[str] = (),
    has_data: bool = False,
    has_bom: bool = False,
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
        documents: names of the base model's documents in the package.
        has_data: true if the data manifest is in the package.
        has_bom: true if a bill of materials is.
    """
    import jinja2

    assert run.outcome is not None
    recipe, card = run.recipe, run.recipe.package.card
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    environment.filters |= {"thousands": "{:,}".format, "inline": inline, "person": person, "link": link}
    environment.filters |= {"code": code, "counted": human_count}
    template = environment.from_string(
        files("starfreight.packager.card").joinpath("card.md.jinja").read_text(encoding="utf-8")
    )
    doi = card.doi and f"https://doi.org/{card.doi}"
    data = training_data(data_manifest)
    license = model_license(run, data_manifest)
    formats = {source.format for source in recipe.data}
    text: str = template.render(
        front_matter=front_matter(model, run, data, license),
        model=model,
        card=card,
        links=[link for link in (card.url, card.repository, doi) if link],
        license=license,
        license_url=license_address(license),
        base_license=run.base.license,
        terms=own_terms(run, data_manifest),
        restrictions=restrictions(run.base.license, run.license),
        notices=notices(run.base.license, run.license),
        documents=documents,
        files=pressed,
        lora=lora,
        data=data,
        data_manifest=run.data_manifest.digest,
        has_data=has_data,
        has_bom=has_bom,
        method=TRAINING_METHODS[recipe.training.method],
        training=recipe.training,
        merge_base=recipe.package.merge.base,
        outcome=run.outcome,
        device=run.machine.device if run.machine else "an unknown machine",
        hardware=_hardware(run),
        duration=_duration(run.outcome.seconds),
        software=", ".join(f"{name} {run.versions[name]}" for name in _SOFTWARE if name in run.versions),
        image=run.image,
        imatrix=run.imatrix,
        loss_check=loss_check,
        fim=FIM_TOKENS[run.base.architecture],
        modes=list(_modes(recipe)),
        spm=any(source.fim.spm_rate for source in recipe.data if source.format == "fim"),
        instruct="instruct" in formats,
        repository="repository" in formats and "separator" in FIM_TOKENS[run.base.architecture],
        reference=_reference(recipe),
    )
    return text.encode()


def _modes(recipe: Recipe) -> Iterator[str]:
    """A sentence on the cuts of each source that was cut, each once."""
    sentences = []
    for source in recipe.data:
        fim = source.fim
        if source.format == "fim":
            sentences.append(
                f"Trained on cuts in {_percent(fim.rate)} of the pieces of its files, "
                f"{_percent(fim.spm_rate)} of these suffix first; "
                f"{_percent(fim.line_rate)} of the cuts take out a line or its end, "
                f"{_percent(fim.nodes)} a node of the syntax tree."
            )
        elif source.format == "repository":
            sentences.append(
                "Trained on whole repositories, with "
                f"{_percent(source.repository.file_fim_rate)} of the files cut in "
                f"{_percent(source.repository.fim_rate)} of the repositories."
            )
    if not sentences:
        sentences.append("This training had no such cuts: the order is the base model's.")
    yield from dict.fromkeys(sentences)


def _percent(rate: float) -> str:
    return f"{100 * rate:g}%"


def _hardware(run: Run) -> str:
    machine = run.machine
    if machine is None:
        return "unknown"
    count = f"{machine.processes} of " if machine.processes > 1 else ""
    words = [f"{count}{machine.device}", f"{machine.processor}, threads: {machine.threads}"]
    if machine.attention:
        words.append(f"attention: {machine.attention}")
    return "; ".join(words)


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def _reference(recipe: Recipe) -> str:
    """The reference of the release, for commands; a placeholder if the recipe does not name it."""
    found = recipe.publish.reference if recipe.publish is not None else ""
    return found if _REFERENCE.fullmatch(found) else "HOST/NAMESPACE/NAME:TAG"
