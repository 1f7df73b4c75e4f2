"""The record's answers to the template for the public summary of training content."""

from __future__ import annotations

from collections.abc import Mapping

from starfreight.console import human_count
from starfreight.packager.papers.answers import (
    SOURCE_HEAD,
    base_model,
    data_unknown,
    evidence,
    latest_data,
    shares,
    source_row,
)
from starfreight.packager.papers.facts import Facts, SourceFacts
from starfreight.packager.papers.interface import Answer, text

_BILLION = 10**9
_BYTES_PER_TOKEN = 3


def answers(facts: Facts) -> Mapping[str, Answer]:
    """See :attr:`Form.answer`."""
    card = facts.provenance.recipe.package.card
    package = facts.package
    by_kind = {
        kind: [each for each in facts.sources if each.kind == kind]
        for kind in ("dataset", "git", "python", "oci", "local")
    }
    return {
        "updated": text(f"{package.created}, the end of the run {package.run}."),
        "provider_or_not": text(*facts.compute.lines()),
        "provider": text(
            *(f"Author named in the recipe: {each}" for each in card.authors), _contact(card.contact)
        ),
        "model": text(f"{package.title} ({package.name}), run {package.run}."),
        "dependencies": base_model(facts),
        "modality": text(
            "Text: source code and documents in source repositories. No images, audio or video."
        ),
        "size": text(_size(facts)),
        "content": text("Source code.", *_formats(facts)),
        "latest": latest_data(facts),
        "languages": shares(facts, "languages", "programming language"),
        "characteristics": shares(facts, "licenses", "license"),
        "public": _sources(facts, by_kind["dataset"], "No dataset of a hub is among the sources."),
        "licensed": text("The record has licenses, not contracts."),
        "private": _sources(
            facts, by_kind["oci"], "No artifact of a registry is among the sources; see 2.6 for local ones."
        ),
        "crawled": text(
            "The pipeline has no crawler: it reads the sources of its recipe, and fetches only the "
            "repositories, datasets and artifacts that the recipe names."
        ),
        "users": text("The pipeline collects nothing from users. Local sources may hold such data."),
        "synthetic": text("The pipeline generates no training data. Sources may hold generated text."),
        "other": _sources(
            facts,
            [*by_kind["git"], *by_kind["python"], *by_kind["local"]],
            "No repositories, packages or local sources.",
        ),
        "reservations": text(*_reservations(facts)),
        "illegal": text(*_removals(facts)),
        "further": evidence(facts),
    }


def _contact(contact: str | None) -> str:
    return f"Contact named in the recipe: {contact}" if contact else ""


def _size(facts: Facts) -> str:
    if not facts.counted:
        return data_unknown(facts)
    size = sum(each.train.bytes for each in facts.counted)
    tokens = size // _BYTES_PER_TOKEN
    if size < _BILLION:
        band, reason = "Less than 1 billion tokens", "no token is shorter than a byte"
    elif tokens < _BILLION:
        band, reason = "Less than 1 billion tokens", f"estimated at {_BYTES_PER_TOKEN} bytes per token"
    else:
        band = "1 billion to 10 trillion tokens" if tokens < 10**13 else "More than 10 trillion tokens"
        reason = f"estimated at {_BYTES_PER_TOKEN} bytes per token"
    samples = sum(each.train.samples for each in facts.counted)
    return f"{band}: {human_count(samples, 'texts')} of {size:,} bytes, without those held out ({reason})."


def _formats(facts: Facts) -> list[str]:
    names = {
        "fim": "Files, also with a part to fill in.",
        "repository": "Whole repositories.",
        "instruct": "Instructions with answers.",
    }
    found = dict.fromkeys(each.data.format for each in facts.sources)
    return [names.get(each, f"Format {each}.") for each in found]


def _sources(facts: Facts, sources: list[SourceFacts], none: str) -> Answer:
    if not sources:
        return text(none)
    return Answer(
        lines=() if facts.counted else (data_unknown(facts),),
        head=SOURCE_HEAD,
        rows=tuple(source_row(each) for each in sources),
    )


def _reservations(facts: Facts) -> list[str]:
    listed = [each.name for each in facts.sources if each.data.filters.opt_out is not None]
    open_licenses = [each.name for each in facts.sources if each.data.filters.licenses == "any"]
    lines = []
    if listed:
        count = f" ({human_count(facts.left_out('opt_out'), 'texts')} left out)" if facts.counted else ""
        lines.append(f"An opt-out list of repositories and files was applied to {', '.join(listed)}{count}.")
    else:
        lines.append("No opt-out list was applied.")
    count = f" ({human_count(facts.left_out('license'), 'texts')} left out)" if facts.counted else ""
    lines.append(
        f"Texts with a license that the recipe does not accept, or without one, are left out{count}."
    )
    if open_licenses:
        lines.append(f"Except from these sources, which accept any license: {', '.join(open_licenses)}.")
    return lines


def _removals(facts: Facts) -> list[str]:
    lines = []
    for key, name in (
        ("secrets", "Keys, tokens and passwords"),
        ("personal_data", "E-mail and IP addresses"),
    ):
        modes = dict.fromkeys(getattr(each.data.filters, key) for each in facts.sources)
        words = {"leave_out": "the text is left out", "replace": "replaced", "keep": "kept"}
        lines.append(f"{name}: {', '.join(words[each] for each in modes)}.")
    replaced: dict[str, int] = {}
    for summary in facts.counted:
        for kind, count in summary.replaced.items():
            replaced[kind] = replaced.get(kind, 0) + count
    if replaced:
        lines.append(
            "Replaced: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(replaced.items())) + "."
        )
    if facts.counted:
        counts = {
            name: facts.left_out(name) for name in ("secrets", "personal_data", "generated", "minified")
        }
        shown = ", ".join(f"{count:,} by {name}" for name, count in counts.items() if count)
        lines.append(f"Texts left out: {shown or 'none by these filters'}.")
    lines.append("No filter of the pipeline looks for illegal content.")
    return lines
