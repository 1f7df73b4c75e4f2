"""Instructions and their answers; the loss counts the answers only.

The text is the one that the package's `instruct` template builds again at inference
(``packager/templates``); a test holds the two together.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from jobs.data.encoder import Encoder
from jobs.data.formats.interface import IGNORED, Example, Probe
from jobs.data.sources import Sample
from starfreight.errors import InputError
from starfreight.recipe.models import Data

_HEADINGS = {"user": "### Instruction\n{}\n\n### Response\n", "system": "{}\n\n"}


class InstructFormat:
    """``prompt`` and ``response``, or ``messages`` with the roles system, user and assistant."""

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        del data  # This format has no rules of its own.
        self._encoder = encoder
        self._length = length

    def examples(self, sample: Sample, rng: random.Random) -> Iterator[Example]:
        """One example, cut at the end when it is too long; none when no answer would be left."""
        ids: list[int] = []
        labels: list[int] = []
        for role, text in _messages(sample):
            if role == "assistant":
                piece = [*self._encoder.encode(text), self._encoder.fim.end_of_text]
                labels += piece
            else:
                piece = self._encoder.encode(_HEADINGS[role].format(text))
                labels += [IGNORED] * len(piece)
            ids += piece
        ids, labels = ids[: self._length], labels[: self._length]
        if any(label != IGNORED for label in labels[1:]):
            yield Example(ids, labels)

    def probes(self, sample: Sample, rng: random.Random) -> Iterator[Probe]:
        """None: an answer in other words can be as good."""
        return iter(())


def _messages(sample: Sample) -> list[tuple[str, str]]:
    record: Mapping[str, Any] = sample.content if isinstance(sample.content, Mapping) else {}
    prompt, response = record.get("prompt"), record.get("response")
    if isinstance(prompt, str) and isinstance(response, str):
        return [("user", prompt), ("assistant", response)]
    messages = record.get("messages")
    if isinstance(messages, list) and messages:
        read = [_message(message, sample.name) for message in messages]
        if any(role == "assistant" for role, _ in read):
            return read
    raise InputError(
        "A record of format instruct has neither prompt and response nor messages with an answer.",
        where=sample.name,
        fix="add the fields, or set the format of this source to fim",
    )


def _message(message: Any, name: str) -> tuple[str, str]:
    role = message.get("role") if isinstance(message, dict) else None
    text = message.get("content") if isinstance(message, dict) else None
    if role not in ("system", "user", "assistant") or not isinstance(text, str):
        raise InputError(
            "A message needs the role system, user or assistant, and a content.",
            where=name,
            fix="correct that record",
        )
    return role, text
