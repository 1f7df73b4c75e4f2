"""Instructions: the loss counts the answers only."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import IGNORED, Example, LeftOutExample, make_format
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe import Data


def made(encoder: Encoder, record: Mapping[str, Any], length: int = 256) -> list[Example | LeftOutExample]:
    form = make_format(Data(source="x", format="instruct"), encoder, length)
    return list(form.examples([Sample("row", record, "sha256:" + "0" * 64, 1)], random.Random(0)))


def examples(encoder: Encoder, record: Mapping[str, Any], length: int = 256) -> list[Example]:
    return [each for each in made(encoder, record, length) if isinstance(each, Example)]


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


def test_an_answer_that_does_not_fit_whole_is_left_out_and_counted(encoder: Encoder) -> None:
    for record in ({"prompt": "a", "response": "b " * 500}, {"prompt": "a " * 500, "response": "b"}):
        assert made(encoder, record, length=64) == [LeftOutExample("answer longer than the sequence")]


def test_a_long_conversation_ends_with_an_answer_and_its_end(encoder: Encoder) -> None:
    messages = [
        {"role": role, "content": text}
        for text in ("one", "two " * 10, "three " * 100)
        for role in ("user", "assistant")
    ]
    example, left_out = made(encoder, {"messages": messages}, length=128)
    assert isinstance(example, Example)
    assert encoder.decode(example.ids).endswith("### Response\n" + "two " * 10 + "<|endoftext|>")
    assert left_out == LeftOutExample("later turns longer than the sequence")


def test_the_parts_of_a_content_are_its_text_and_a_picture_is_refused(encoder: Encoder) -> None:
    text = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hi."}]
    answer = {"role": "assistant", "content": "hi"}
    (example,) = examples(encoder, {"messages": [{"role": "user", "content": text}, answer]})
    assert example == examples(encoder, {"prompt": "Say hi.", "response": "hi"})[0]
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    with pytest.raises(InputError, match="a text as its content"):
        examples(encoder, {"messages": [{"role": "user", "content": picture}, answer]})
