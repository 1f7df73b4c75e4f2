"""Completions of a few held-out places, before and after training, for people to read.

They are recorded in ``completions.json`` and shown in ``report.html``. Nothing else depends on
them: neither the adapter, nor the run's id, nor its package.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from starfreight.errors import InputError
from starfreight.files import canonical_json, write_bytes
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import Probe
from starfreight.jobs.report.page import Completion
from starfreight.records import Part, Record

COMPLETIONS_FILE = "completions.json"
NEWEST_VERSION = 1

_PLACES = 3
_TOKENS = 40
_LONGEST_PROMPT = 2048
"""Tokens of a prompt; longer ones cost seconds on a CPU."""

_SECONDS = 20.0
"""Longest time for all of them; a place that is not finished then is left out."""

_SHOWN_BEFORE, _SHOWN_AFTER = 8, 4
"""Lines shown around a place."""

_LIMIT = 1 << 20
_Text = Annotated[str, Field(max_length=20_000)]


class PlaceCompletion(Part):
    """A held-out place: the text around it, the text that was there, and those of the models."""

    prefix: _Text
    """The last lines before it."""
    suffix: _Text
    """The first lines after it."""
    expected: _Text
    before: _Text
    """By the base model, greedily."""
    after: _Text
    """By the tuned model, greedily."""


class Completions(Record):
    """``completions.json`` in a run's directory."""

    places: Annotated[tuple[PlaceCompletion, ...], Field(max_length=16)]

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read the file; ``None`` if it is missing or cannot be read."""
        try:
            path = folder / COMPLETIONS_FILE
            return cls.read(path, newest=NEWEST_VERSION, limit=_LIMIT, kind="list of completions")
        except InputError:
            return None

    def save(self, folder: Path) -> None:
        """Write the file."""
        write_bytes(folder / COMPLETIONS_FILE, canonical_json(self.model_dump(mode="json")) + b"\n")

    def shown(self) -> tuple[Completion, ...]:
        """The places for a page."""
        return tuple(
            Completion(each.prefix, each.suffix, each.expected, each.before, each.after)
            for each in self.places
        )


def complete_places(
    model: Any, probes: Sequence[Probe], encoder: Encoder, seconds: float = _SECONDS
) -> Completions | None:
    """Complete a few probes with and without the adapter, with dropout off.

    Args:
        model: a PEFT model with its final adapter.
        probes: lines to complete; a few of them are chosen, evenly.
        encoder: the base model's tokenizer.
        seconds: longest time for all of them.

    Returns:
        ``None`` without a place, or without the time for one.
    """
    import torch

    ends = time.monotonic() + seconds
    places = []
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for probe in _chosen([each for each in probes if each.start <= _LONGEST_PROMPT]):
                after = _greedy(model, probe, encoder, ends)
                with model.disable_adapter():
                    before = _greedy(model, probe, encoder, ends)
                if before is None or after is None:
                    break
                places.append(_place(probe, encoder, before, after))
    finally:
        model.train(was_training)
    return Completions(version=1, places=tuple(places)) if places else None


def _chosen(probes: Sequence[Probe]) -> list[Probe]:
    count = min(_PLACES, len(probes))
    return [probes[number * len(probes) // count] for number in range(count)]


def _greedy(model: Any, probe: Probe, encoder: Encoder, ends: float) -> list[int] | None:
    """The most likely tokens, up to the end of the text; ``None`` if time is over."""
    import torch

    stops = {encoder.fim.end_of_text, encoder.fim.prefix, encoder.fim.suffix, encoder.fim.middle}
    if encoder.repository is not None:
        stops |= {encoder.repository.repository, encoder.repository.file}
    ids = torch.tensor([probe.ids[: probe.start]], device=model.device)
    cache, made = None, list[int]()
    while len(made) < _TOKENS:
        if time.monotonic() > ends:
            return None
        answer = model(input_ids=ids, past_key_values=cache, use_cache=True)
        token = int(answer.logits[0, -1].argmax())
        if token in stops:
            break
        made.append(token)
        cache = answer.past_key_values
        # A model that keeps no cache gets the whole text again.
        new = torch.tensor([[token]], device=ids.device)
        ids = new if cache is not None else torch.cat([ids, new], dim=1)
    return made


def _place(probe: Probe, encoder: Encoder, before: list[int], after: list[int]) -> PlaceCompletion:
    fim = encoder.fim
    prompt = probe.ids[: probe.start]
    begins = len(prompt) - 1 - prompt[::-1].index(fim.prefix)
    cut = prompt.index(fim.suffix, begins)
    inside = prompt[begins + 1 : cut]
    if encoder.repository is not None and inside[:1] == [encoder.repository.file]:
        inside = inside[1:]
    expected = [each for each in probe.ids[probe.start :] if each != fim.end_of_text]
    if encoder.repository is not None and expected[-1:] == [encoder.repository.file]:
        expected = expected[:-1]
    prefix, suffix = encoder.decode(inside), encoder.decode(prompt[cut + 1 : -1])
    shown = "".join(prefix.splitlines(keepends=True)[-_SHOWN_BEFORE:])
    rest = "".join(suffix.splitlines(keepends=True)[:_SHOWN_AFTER])
    texts = [shown[-4000:], rest[:4000], *(encoder.decode(each)[:4000] for each in (expected, before, after))]
    return PlaceCompletion(
        prefix=texts[0], suffix=texts[1], expected=texts[2], before=texts[3], after=texts[4]
    )
