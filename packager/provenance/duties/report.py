"""The duties of a model under the licenses of its base and of its data, and the state of each.

    report = judge_duties(material, data)
    report.unmet

A model with unmet duties is not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starfreight.console import human_count
from starfreight.licenses import Duty, TrainingUse, canonical_name, find_license
from starfreight.licenses.data_terms import data_terms, joint_license
from starfreight.licenses.expression import evaluate, license_names
from starfreight.licenses.training_use import DataLicense, ModelUse, forbids
from starfreight.packager.provenance.duties.interface import FOR_THE_PUBLISHER, Material, Outcome, State
from starfreight.packager.provenance.duties.table import CHECKS

_WORDS: dict[State, str] = {"met": "met", "unmet": "NOT MET", "judge": "yours", "later": "later"}
_WEIGHT: dict[State, int] = {"met": 0, "judge": 1, "later": 2, "unmet": 3}

_OF_DATA: dict[TrainingUse, str] = {
    "attribution": "Name the authors and keep their notices as far as the model reproduces these texts.",
    "same-license": "Judge whether a model trained on these texts has to be under their license.",
    "restricted": "Read what the license allows to do with these texts.",
    "unknown": "Judge whether a model trained on these texts may be shared, and with whom.",
    "noncommercial": "Use and share the model for noncommercial purposes only.",
    "no-permission": "Without a license, only the owner of these texts may share a model made from them.",
    "no-derivatives": "Do not share a model trained on these texts.",
    "forbidden": "Do not train on these texts.",
}
_SHOWN = 5


@dataclass(frozen=True)
class DutyResult:
    """A duty and its state.

    Attributes:
        license: as the package spells it.
        of: ``base``, or the source of the data.
        paragraph: of the license; empty for data.
        what: the duty.
        state: see :data:`~starfreight.packager.provenance.duties.interface.State`.
        why: reason of the state.
        how: next step to meet it.
        refuses: true if the model may not be published.
        texts: number of texts, for data.
    """

    license: str
    of: str
    paragraph: str
    what: str
    state: State
    why: str
    how: str
    refuses: bool
    texts: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The duty for ``--json``."""
        return {
            "license": self.license,
            "of": self.of,
            "paragraph": self.paragraph or None,
            "duty": self.what,
            "state": {"unmet": "not met", "judge": "for the publisher to judge"}.get(self.state, self.state),
            "reason": self.why,
            "how": self.how,
            "refuses": self.refuses,
            "texts": self.texts,
        }

    def as_text(self) -> str:
        """The duty in one line."""
        place = f"{self.paragraph}: " if self.paragraph else ""
        line = f"{_WORDS[self.state]:8} {place}{self.what}"
        if self.state == "judge" and self.why == FOR_THE_PUBLISHER:
            return line
        return f"{line} ({self.why}; next: {self.how})" if self.state == "unmet" else f"{line} ({self.why})"

    @property
    def of_data(self) -> bool:
        """True for a duty of the training data."""
        return self.of != "base"


@dataclass(frozen=True)
class DataDuty:
    """A duty of the data, for all sources and licenses that have it in one state."""

    results: tuple[DutyResult, ...]

    @property
    def first(self) -> DutyResult:
        """One of them."""
        return self.results[0]

    @property
    def licenses(self) -> str:
        """The licenses, with the number of texts under each."""
        texts: dict[str, int] = {}
        for each in self.results:
            texts[each.license] = texts.get(each.license, 0) + (each.texts or 0)
        listed = [
            f"{name[:100]} ({human_count(count, 'texts')})" if count else name[:100]
            for name, count in texts.items()
        ]
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        return ", ".join(listed[:_SHOWN]) + more

    def as_text(self) -> str:
        """The duty in one line."""
        line = f"{_WORDS[self.first.state]:8} {self.licenses}: {self.first.what}"
        return f"{line} (next: {self.first.how})" if self.first.state == "unmet" else line


@dataclass(frozen=True)
class DutyReport:
    """All duties of a model.

    Attributes:
        results: those of the base's license, in its order, and then those of the data.
        notes: on the model's license, one sentence each.
        license: of the model.
    """

    results: tuple[DutyResult, ...]
    notes: tuple[str, ...] = ()
    license: str = ""

    @property
    def unmet(self) -> tuple[DutyResult, ...]:
        """Duties that refuse the model."""
        return tuple(each for each in self.results if each.refuses)

    @property
    def summary(self) -> str:
        """The number of duties in each state."""
        counts = {
            "met": sum(each.state == "met" for each in self.results),
            "not met": sum(each.state == "unmet" for each in self.results),
            "for the publisher to judge": sum(each.state == "judge" for each in self.results),
            "known later": sum(each.state == "later" for each in self.results),
        }
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count)

    def as_dict(self) -> dict[str, Any]:
        """All duties for ``--json``."""
        return {"duties": [each.as_dict() for each in self.results], "notes": list(self.notes)}

    def as_lines(self) -> list[str]:
        """The duties for people, one per line, under a heading for each license."""
        lines: list[str] = []
        heading = None
        for each in (result for result in self.results if not result.of_data):
            if each.license != heading:
                heading = each.license
                lines.append(f"duties of {heading} (base model)")
            lines.append(f"  {each.as_text()}")
        if groups := self.of_data():
            lines += ["duties of the data's licenses", *(f"  {group.as_text()}" for group in groups)]
        return lines + [f"note: {note}" for note in self.notes]

    def of_data(self) -> tuple[DataDuty, ...]:
        """The duties of the data, each once for all licenses that have it."""
        groups: dict[tuple[State, str], list[DutyResult]] = {}
        for each in self.results:
            if each.of_data:
                groups.setdefault((each.state, each.what), []).append(each)
        return tuple(DataDuty(tuple(group)) for group in groups.values())


def judge_duties(material: Material, data: Sequence[DataLicense] = (), *, shared: bool = True) -> DutyReport:
    """Judge every duty.

    Args:
        material: the package, made or planned.
        data: the licenses of its training texts, as far as they are known.
        shared: true if the model is, or is to be, published.
    """
    base = evaluate(material.base_license, lambda name: _of_license(name, material), _all, _mildest)
    use = ModelUse(material.license, material.chosen, shared)
    return DutyReport((*base, *_of_data(data, use)), tuple(_notes(material, data)), _license(material))


def _license(material: Material) -> str:
    return joint_license(material.license, () if material.chosen else material.terms)


def _of_license(name: str, material: Material) -> tuple[DutyResult, ...]:
    license = find_license(name)
    results = []
    for duty in license.duties:
        outcome = CHECKS[duty.check].check(duty, license, name, material)
        results.append(_result(name, duty, outcome, material))
    return tuple(results)


def _result(name: str, duty: Duty, outcome: Outcome, material: Material) -> DutyResult:
    refuses, why = outcome.state == "unmet", outcome.why
    if refuses and material.earlier and not (duty.check == "license-text" and not material.licenses):
        refuses, why = False, f"{why}, which was not required when it was built"
    return DutyResult(
        license=name,
        of="base",
        paragraph=duty.paragraph,
        what=duty.what,
        state=outcome.state,
        why=why,
        how=outcome.how or duty.how,
        refuses=refuses,
    )


def _all(parts: Sequence[tuple[DutyResult, ...]]) -> tuple[DutyResult, ...]:
    return tuple(result for part in parts for result in part)


def _mildest(parts: Sequence[tuple[DutyResult, ...]]) -> tuple[DutyResult, ...]:
    """The alternative with the fewest duties that are not met; the first of several."""
    return min(parts, key=lambda part: sorted((_WEIGHT[each.state] for each in part), reverse=True))


def _of_data(data: Sequence[DataLicense], use: ModelUse) -> list[DutyResult]:
    results = []
    for each in data:
        if each.use == "allowed":
            continue
        reason = forbids(each, use)
        read = f"{human_count(each.texts or 0, 'texts')} of {each.source}"
        count = "texts not read yet" if each.texts is None else read
        results.append(
            DutyResult(
                license=each.license,
                of=each.source,
                paragraph="",
                what=_OF_DATA[each.use],
                state="judge" if reason is None else "unmet",
                why=count if reason is None else f"{count}: the license {reason}",
                how=FOR_THE_PUBLISHER
                if reason is None
                else "train again without these texts, or choose another package.license",
                refuses=reason is not None,
                texts=each.texts,
            )
        )
    return sorted(results, key=lambda each: (each.license.casefold(), each.of))


def _missing_texts(material: Material) -> list[str]:
    shipped = {canonical_name(name) for each in material.licenses for name in license_names(each.name)}
    missing = [name for name in license_names(material.license) if canonical_name(name) not in shipped]
    return [
        f"The text of {name}, the license of the model, is not in the package. Name a file with it in "
        "package.license_files."
        for name in missing
    ]


def _notes(material: Material, data: Sequence[DataLicense]) -> list[str]:
    """Notes on the model's license: its text, and data that the base model's license says nothing about."""
    if material.chosen:
        return _missing_texts(material)
    notes = []
    if material.terms:
        is_under = "would be" if material.planned else "is"
        notes.append(
            f"Training data are under {', '.join(material.terms)}: the model {is_under} under "
            f"{_license(material)}, and nobody has stated if it may be passed on. Decide by package.license."
        )
    unknown = dict.fromkeys(each.license for each in data if each.use == "unknown")
    if material.terms:  # They cover all but those without a name.
        own = [each for each in unknown if not data_terms((each,), material.base_license)]
    else:
        own = list(unknown)
    if not own:
        return notes
    named = ", ".join(name[:100] for name in own[:_SHOWN]) + (", ..." if len(own) > _SHOWN else "")
    named = named.replace("NOASSERTION", "an unknown license")
    return [
        *notes,
        f"Training data are under {named}, and the model gets the base model's license, "
        f"{material.license}. Set package.license if it is to have another one.",
    ]
