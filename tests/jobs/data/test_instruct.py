"""Instructions: the loss counts the answers only."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from jobs.data.encoder import Encoder
from jobs.data.formats import IGNORED, Example, make_format
from jobs.data.sources import Sample
from starfreight.recipe import Data


def examples(encoder: Encoder, record: Mapping[str, Any], length: int = 256) -> list[Example]:
    form = make_format(Data(source="x", format="instruct"), encoder, length)
    return list(form.examples(Sample("row", "train", record), random.Random(0)))


def test_only_the_answer_and_its_end_are_counted(encoder: Encoder) -> None:
    (example,) = examples(encoder, {"prompt": "Say hi.", "response": "hi"})
    counted = [label for label in example.labels if label != IGNORED]
    assert encoder.decode(counted) == "hi<|endoftext|>"
    assert encoder.decode(example.ids) == "### Instruction\nSay hi.\n\n### Response\nhi<|endoftext|>"
    assert all(label in (IGNORED, number) for number, label in zip(example.ids, example.labels, strict=True))


def test_every_answer_of_a_conversation_is_counted(encoder: Encoder) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "2"},
    ]
    (example,) = examples(encoder, {"messages": messages})
    counted = [label for label in example.labels if label != IGNORED]
    assert encoder.decode(counted) == "1<|endoftext|>2<|endoftext|>"
    assert encoder.decode(example.ids).startswith("Be brief.\n\n### Instruction\nOne?")


def test_a_long_answer_is_cut_at_its_end_and_a_long_question_gives_no_example(encoder: Encoder) -> None:
    (example,) = examples(encoder, {"prompt": "a", "response": "b " * 500}, length=64)
    assert len(example.ids) == len(example.labels) == 64
    assert examples(encoder, {"prompt": "a " * 500, "response": "b"}, length=64) == []
