"""Instructions and their answers; the loss counts the answers only.

The text is the same as that of the package's `instruct` template at inference
(:mod:`starfreight.packager.build.templates`), which a test verifies.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import ClassVar

from starfreight.jobs.data.dialects.describe import read_sample
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats.interface import IGNORED, Example, LeftOutExample, Probe
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

_HEADINGS = {"system": "{}\n\n", "user": "### Instruction\n{}\n\n### Response\n", "assistant": "{}"}


class InstructFormat:
    """Conversations of any dialect: system messages, instructions and answers.

    Turns that do not fit are left out from the end, as a whole: a model trained on an answer without its end
    learns not to stop, and on one without its beginning to begin anywhere.
    """

    whole_repositories: ClassVar[bool] = False

    def __init__(self, data: Data, encoder: Encoder, length: int) -> None:
        self._data = data
        self._encoder = encoder
        self._length = length

    def examples(self, samples: Sequence[Sample], rng: random.Random) -> Iterator[Example | LeftOutExample]:
        """Yield one example per sample, up to the last answer that fits; none if no answer does."""
        for sample in samples:
            reading = read_sample(sample, self._data)
            if reading.left_out is not None:
                yield LeftOutExample(reading.left_out)
                continue
            ids: list[int] = []
            labels: list[int] = []
            context = ""
            end = answers = 0
            for turn in reading.turns:
                if turn.role != "assistant" or not turn.learn:
                    context += _HEADINGS[turn.role].format(turn.text)
                if turn.role != "assistant":
                    continue
                # As in a prompt, the whole text before an answer is encoded at once.
                piece = self._encoder.encode(context)
                ids += piece
                labels += [IGNORED] * len(piece)
                context = ""
                answer = self._encoder.encode(turn.text) if turn.learn else []
                answer.append(self._encoder.fim.end_of_text)
                ids += answer
                labels += answer if turn.learn else [IGNORED] * len(answer)
                if turn.learn:
                    answers += 1
                    if len(ids) <= self._length:
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
