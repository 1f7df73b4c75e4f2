"""Answers that several forms share."""

from __future__ import annotations

from starfreight.packager.papers.facts import Facts, SourceFacts
from starfreight.packager.papers.interface import Answer, text

SOURCE_HEAD = ("source", "revision", "license", "texts", "bytes", "left out")
_SHOWN = 20


def base_model(facts: Facts) -> Answer:
    """The base model."""
    base = facts.package.base
    known = facts.compute.base
    revision = f" at {base.revision}" if base.revision else ""
    lines = [
        f"{base.name}{revision}, of which it is a fine-tuned version (digest of its files: {base.digest})."
    ]
    if known is not None:
        lines.append(f"{known.title} by {known.maker}; trained on {'; '.join(known.data)}.")
    return text(*lines)


def latest_data(facts: Facts) -> Answer:
    """The latest date of the data."""
    started = facts.provenance.started
    return text(f"Not after {started}, when the run began." if started else "")


def shares(facts: Facts, field: str, name: str) -> Answer:
    """A table of a summary's ``languages`` or ``licenses``, by bytes."""
    totals = facts.total(field)
    whole = sum(totals.values())
    if not facts.counted:
        return text(data_unknown(facts))
    rows = [
        (each, f"{size:,}", f"{100 * size / max(whole, 1):.1f}%")
        for each, size in list(totals.items())[:_SHOWN]
    ]
    if len(totals) > _SHOWN:
        rest = sum(list(totals.values())[_SHOWN:])
        rows.append((f"{len(totals) - _SHOWN} more", f"{rest:,}", f"{100 * rest / max(whole, 1):.1f}%"))
    return Answer(head=(name, "bytes", "share"), rows=tuple(rows))


def source_row(source: SourceFacts) -> tuple[str, ...]:
    """A source, with :data:`SOURCE_HEAD`."""
    data, summary = source.data, source.summary
    counts = ("unknown",) * 3
    if summary is not None:
        out = sum(sum(each.values()) for each in summary.left_out.values())
        samples = summary.train.samples + summary.held_out.samples
        counts = (f"{samples:,}", f"{summary.train.bytes + summary.held_out.bytes:,}", f"{out:,}")
    return (source.name, data.revision or "", data.license, *counts)


def data_unknown(facts: Facts) -> str:
    """The sentence for a package without its data manifest."""
    return (
        "The package has the digest of its data manifest alone "
        f"({facts.provenance.data_manifest or 'unknown'}); the counts are in the run's data/manifest.json."
    )


def evidence(facts: Facts) -> Answer:
    """The evidence behind the answers."""
    package = facts.package
    # A directory of this machine means nothing to a reader, and is nobody's business.
    named = facts.where if facts.published else "PACKAGE"
    return text(
        f"Filled from the package {package.name} of the run {package.run} by Starfreight.",
        f"Provenance statement (SLSA, in-toto): {package.provenance.digest}.",
        f"Data manifest, with the digest, license and identifier of every text: "
        f"{facts.provenance.data_manifest or 'not named'}.",
        f"Check it: starfreight package verify {named}; "
        f"ask for a text: starfreight package trace {named} --file PATH",
    )
