"""Instructions and their answers; the loss counts the answers only.

The text is the same as that of the package's `instruct` template at inference (``packager/templates``),
which a test verifies.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from starfreight.errors import InputError
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats.interface import IGNORED, Example, LeftOutExample, Probe
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

_HEADINGS = {"user": "### Instruction\n{}\n\n### Response\n", "system": "{}\n\n"}


class InstructFormat:
    """``prompt`` and ``response``, or ``messages`` with the roles system, user and assistant.

    Turns that do not fit are left out from the end, as a whole: a model trained on an answer without its end
    learns not to stop, and on one without its beginning to begin anywhere.
    """

    whole_repositories: ClassVar[bool] = False

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        del data  # This format has no rules of its own.
        self._encoder = encoder
        self._length = length

    def examples(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Example | LeftOutExample]:
        """Yield one example per sample, up to the last answer that fits; none if no answer does."""
        for sample in samples:
            ids: list[int] = []
            labels: list[int] = []
            end = answers = 0
            for role, text in _messages(sample):
                if role == "assistant":
                    piece = [*self._encoder.encode(text), self._encoder.fim.end_of_text]
                    labels += piece
                    answers += 1
                else:
                    piece = self._encoder.encode(_HEADINGS[role].format(text))
                    labels += [IGNORED] * len(piece)
                ids += piece
                if role == "assistant" and len(ids) <= self._length:
                    end, answers = len(ids), 0
            if end:
                yield Example(ids[:end], labels[:end])
            if answers:
                yield LeftOutExample(
                    "later turns longer than the sequence" if end else "answer longer than the sequence"
                )

    def probes(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Probe]:
        """Yield none: an answer in other words can be equally good."""
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
        fix="add the fields, or set data.format to fim",
    )


def _message(message: Any, name: str) -> tuple[str, str]:
    role = message.get("role") if isinstance(message, dict) else None
    text = _text(message.get("content")) if isinstance(message, dict) else None
    if role not in ("system", "user", "assistant") or text is None:
        raise InputError(
            "A message needs the role system, user or assistant, and a text as its content.",
            where=name,
            fix="correct the record",
        )
    return role, text


def _text(content: Any) -> str | None:
    """Return the text of a message, given directly or in parts of type ``text``, as in OpenAI's chat API."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        return None
    texts = [
        part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        for part in content
    ]
    return "".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else None
