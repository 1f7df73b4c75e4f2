"""Answers in words."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.console import printable
from starfreight.packager.provenance.known_bases import KnownBase
from starfreight.packager.provenance.trace.answers import Answer, Sighting, Verdict
from starfreight.packager.provenance.trace.evidence import Evidence
from starfreight.packager.provenance.trace.interface import Omission
from starfreight.pages.visible_text import shortened

_VERDICTS: dict[Verdict, str] = {
    "used": "used for training",
    "listed": "in the data, for training or held out",
    "held_out": "held out: used for evaluation, not for training",
    "left_out": "left out by a filter",
    "other_contents": "not in the data; the same path is, with other contents",
    "not_found": "not in the data",
    "unknown": "unknown",
}
_USES = {
    "train": "Used for training",
    "records": "Used as a file of records",
    "listed": "In the data",
    "held_out": "Held out for evaluation",
    "left_out": "Left out",
    "other_contents": "Same path, other contents",
}
_LONGEST = 300
_SHOWN = 3


def page(
    where: str, answers: tuple[Answer, ...], evidence: Evidence, base_name: str, base: KnownBase | None
) -> str:
    """The whole answer for people.

    Args:
        where: the package as the user named it.
        answers: to each question.
        evidence: the chain of evidence.
        base_name: the base model's name in the package.
        base: its published facts.
    """
    lines = [f"Training data of {where}"]
    for each in answers:
        lines += ["", *_answer(each, evidence)]
    limits = {each.question.kind: each.question.limits for each in answers}
    lines += ["", "Method", *(f"  {kind}: {text}" for kind, text in limits.items())]
    lines += ["", "Evidence", *(f"  {line}" for line in _evidence(evidence))]
    lines += ["", f"Base model {_short(base_name)}", *(f"  {line}" for line in _base(base))]
    return "\n".join(lines)


def _answer(each: Answer, evidence: Evidence) -> Iterator[str]:
    yield f"{each.question.kind} {_short(each.question.subject)}: {_VERDICTS[each.verdict]}"
    for name in ("digest", "swhid"):
        if name in each.question.facts:
            yield f"  {each.question.facts[name]}"
    if each.verdict == "unknown":
        if evidence.entries is None:
            yield "  The package does not list its data. With the run: --data-manifest RUN/data"
        else:
            yield "  The package lists names, digests and licenses of files, which do not answer this."
            yield "  With the run: --data-manifest RUN/data"
    for use, title in _USES.items():
        if use in each.counts:
            yield f"  {title}: {each.counts[use]:,}"
            for sighting in each.examples[use][:_SHOWN]:
                yield f"    {_sighting(sighting)}"
            if each.counts[use] > _SHOWN:
                yield f"    and {each.counts[use] - _SHOWN:,} more"
    if each.redacted:
        yield "  Secrets or personal data were replaced in some texts of this source before training."


def _sighting(sighting: Sighting) -> str:
    each = sighting.sample
    name = f"{_short(each.name)} in {_short(each.source.name)}"
    if isinstance(each, Omission):
        twin = f", a copy of {_short(each.twin)}" if each.twin else ""
        return f"{name}: {_short(each.filter)}: {_short(each.detail)}{twin}"
    facts = [each.license or "license unknown"]
    if each.repository:
        facts.append(each.repository + (f" at {each.commit}" if each.commit else ""))
    facts.append(f"found by its {sighting.match.by}")
    return f"{name} ({_short(', '.join(facts))})"


def _evidence(evidence: Evidence) -> Iterator[str]:
    if evidence.entries is not None:
        yield f"Entries: {evidence.entries}."
    if evidence.data_manifest is not None:
        yield f"Data manifest {evidence.data_manifest}, named by the provenance statement"
        yield f"{evidence.statement} in the package."
    else:
        yield f"The provenance statement {evidence.statement} names no data manifest."
    yield evidence.signature


def _base(base: KnownBase | None) -> Iterator[str]:
    if base is None:
        yield "Its training data is not part of this record and not known here: ask its maker."
        return
    yield f"{base.title} by {base.maker} was trained on: {'; '.join(base.data)}."
    if base.index:
        yield f"Look for a repository in its data: {base.index}"
    if base.opt_out:
        yield f"Opt out of later versions: {base.opt_out}"
    yield "The name is the run's record; a tuned model contains its base, whose data is not searched here."


def _short(text: str) -> str:
    return shortened(printable(text), _LONGEST)
