"""Examples as training reads them, divided into pieces for colouring."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from starfreight.data_manifest import DataManifest
from starfreight.jobs.data.blocks.example_worker import draw, groups
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import IGNORED, Example, make_format
from starfreight.jobs.data.manifest.samples import verified_samples
from starfreight.jobs.data.redaction import redact
from starfreight.jobs.data.sources.interface import Sample, Source
from starfreight.recipe.data import Data

Role = Literal["mark", "plain", "prefix", "suffix", "middle", "both"]
"""The role of a piece; ``both`` is prefix and middle together, as in suffix-first examples."""

_FOR_EACH = 1
"""Examples shown for one sample or repository."""


@dataclass(frozen=True)
class Piece:
    """Some tokens of one role. ``learned`` is true if the loss counts them."""

    role: Role
    text: str
    learned: bool


@dataclass(frozen=True)
class RenderedExample:
    """An example, with the name of its sample."""

    name: str
    tokens: int
    learned: int
    pieces: tuple[Piece, ...]


def draw_examples(
    data: Data, source: Source, manifest: DataManifest, number: int, base: Path, length: int, count: int
) -> list[RenderedExample]:
    """Return examples of a few samples or repositories, drawn at random from a source.

    Args:
        data: the source.
        source: the same, opened.
        manifest: lists the samples used.
        number: of the source.
        base: the directory of the base model, for its tokenizer.
        length: maximum number of tokens of an example.
        count: number of samples or repositories.

    Raises:
        InputError: a sample lacks fields required by its format.
    """
    encoder = Encoder(base)
    form = make_format(data, encoder, length)
    train = (sample for sample, split in verified_samples(source, manifest, number) if split == "train")
    together = groups(train, whole_repositories=form.whole_repositories)
    drawn = heapq.nsmallest(count, together, key=lambda group: draw(f"inspect {group[0].name}"))
    rendered = []
    for group in sorted(drawn, key=lambda group: group[0].name):
        samples = [_redacted(sample, data) for sample in group]
        made = form.examples(samples, random.Random(f"inspect {group[0].name}"))
        shown = [each for each in made if isinstance(each, Example)][:_FOR_EACH]
        rendered += [render_example(each, group[0].name, encoder) for each in shown]
    return rendered


def render_example(example: Example, name: str, encoder: Encoder) -> RenderedExample:
    """Divide an example into pieces. Marks are recognised by token ids, so that no text can imitate them."""
    pieces = [Piece(role, encoder.decode(ids), learned) for role, learned, ids in _runs(example, encoder)]
    learned = sum(label != IGNORED for label in example.labels)
    return RenderedExample(name, len(example.ids), learned, tuple(pieces))


def _runs(example: Example, encoder: Encoder) -> Iterator[tuple[Role, bool, list[int]]]:
    fim, named = encoder.fim, encoder.repository
    opened: dict[int, Role] = {fim.prefix: "prefix", fim.suffix: "suffix", fim.middle: "middle"}
    marks = {*opened, fim.end_of_text, *((named.repository, named.file) if named else ())}
    role: Role = "plain"
    suffix_first = False
    run: list[int] = []
    run_learned = True
    for position, (number, label) in enumerate(zip(example.ids, example.labels, strict=True)):
        learned = label != IGNORED
        if run and (number in marks or learned != run_learned):
            yield role, run_learned, run
            run = []
        if number in marks:
            yield "mark", learned, [number]
            if number == fim.prefix:
                suffix_first = example.ids[position + 1 : position + 2] == [fim.suffix]
            role = opened.get(number, "plain")
            if role == "middle" and suffix_first:
                role = "both"
        else:
            run.append(number)
            run_learned = learned
    if run:
        yield role, run_learned, run


def _redacted(sample: Sample, data: Data) -> Sample:
    return replace(sample, content=redact(sample.content, data.filters)[0])
