"""Answers: one pass over the training data for all questions, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from starfreight.console import Advance, Console
from starfreight.packager.provenance.trace.interface import Match, Omission, Question, Sample
from starfreight.packager.provenance.trace.training_data import TrainingData

Verdict = Literal["used", "listed", "held_out", "left_out", "other_contents", "not_found", "unknown"]
EXAMPLES = 10
"""Samples shown of each use."""
_STEP = 1000
"""Samples between two steps of the progress."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sighting:
    """A sample that matches, with its relation to the subject."""

    sample: Sample | Omission
    match: Match

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        each = self.sample
        found: dict[str, Any] = {
            "source": each.source.number,
            "source_name": each.source.name,
            "name": each.name,
            "by": self.match.by,
        }
        if isinstance(each, Sample):
            return found | {
                "digest": each.digest,
                "split": each.split,
                "swhid": each.swhid,
                "license": each.license,
                "repository": each.repository,
                "commit": each.commit,
            }
        return found | {"filter": each.filter, "reason": each.detail, "copy_of": each.twin}


@dataclass
class _Tally:
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Sighting]] = field(default_factory=dict)
    sources: set[int] = field(default_factory=set)

    def add(self, use: str, sighting: Sighting) -> None:
        self.counts[use] = self.counts.get(use, 0) + 1
        if use != "left_out":
            self.sources.add(sighting.sample.source.number)
        shown = self.examples.setdefault(use, [])
        if len(shown) < EXAMPLES:
            shown.append(sighting)


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        question: the question.
        verdict: the strongest use found.
        counts: number of matching samples by use: ``train``, ``held_out``, ``records``, ``listed``,
            ``left_out``, ``other_contents``.
        examples: the first of them, by use.
        redacted: true if secrets or personal data were replaced in a source of a matching sample.
    """

    question: Question
    verdict: Verdict
    counts: dict[str, int]
    examples: dict[str, tuple[Sighting, ...]]
    redacted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "kind": self.question.kind,
            "subject": self.question.subject,
            **self.question.facts,
            "verdict": self.verdict,
            "counts": self.counts,
            "examples": {
                use: [each.as_dict() for each in sightings] for use, sightings in self.examples.items()
            },
            "redacted": self.redacted,
            "limits": self.question.limits,
        }


def answer(data: TrainingData | None, questions: Sequence[Question], console: Console) -> tuple[Answer, ...]:
    """Answer questions.

    Args:
        data: the samples; ``None`` if they are unknown.
        questions: all are answered in one pass.
        console: shows progress.

    Raises:
        GateError: a list of the data is damaged.
    """
    tallies = [_Tally() for _ in questions]
    if data is not None:
        with console.progress("Searching the training data", total=data.total, unit="samples") as advance:
            pairs = list(zip(questions, tallies, strict=True))
            for sample in _counted(data.samples(), advance):
                for question, tally in pairs:
                    match = question.match(sample)
                    if match is not None:
                        use = "other_contents" if match.kind == "weak" else sample.split or "listed"
                        tally.add(use, Sighting(sample, match))
            for omission in _counted(data.omissions(), advance):
                for question, tally in pairs:
                    match = question.match_omission(omission)
                    if match is not None:
                        tally.add("left_out", Sighting(omission, match))
    redactions = data.redactions if data is not None else {}
    return tuple(
        Answer(
            question,
            _verdict(question, tally.counts, data),
            dict(tally.counts),
            {use: tuple(shown) for use, shown in tally.examples.items()},
            any(redactions.get(number) for number in tally.sources),
        )
        for question, tally in zip(questions, tallies, strict=True)
    )


def _counted(items: Iterable[Item], advance: Advance) -> Iterator[Item]:
    """The items, with progress now and then: drawing it for each one would take longer than the search."""
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        if count % _STEP == 0:
            advance(_STEP)
    advance(count % _STEP)


def _verdict(question: Question, counts: dict[str, int], data: TrainingData | None) -> Verdict:
    if data is None:
        return "unknown"
    if "train" in counts or "records" in counts:
        return "used"
    for verdict in ("listed", "held_out", "left_out", "other_contents"):
        if verdict in counts:
            return verdict
    return "not_found" if question.kind in data.complete_for else "unknown"
