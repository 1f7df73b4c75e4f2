"""Instructions: the loss counts the answers only."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

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


def test_the_parts_of_a_content_are_its_text_and_a_picture_is_left_out(encoder: Encoder) -> None:
    text = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hi."}]
    answer = {"role": "assistant", "content": "hi"}
    (example,) = examples(encoder, {"messages": [{"role": "user", "content": text}, answer]})
    assert example == examples(encoder, {"prompt": "Say hi.", "response": "hi"})[0]
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    assert made(encoder, {"messages": [{"role": "user", "content": picture}, answer]}) == [
        LeftOutExample("has a part of type image_url")
    ]


def test_an_answer_of_weight_0_is_context_and_the_next_one_is_counted(encoder: Encoder) -> None:
    messages = [
        {"role": "user", "content": "Sort xs."},
        {"role": "assistant", "content": "sorted(xs)", "weight": 0},
        {"role": "user", "content": "In place."},
        {"role": "assistant", "content": "xs.sort()", "weight": 1},
    ]
    (example,) = examples(encoder, {"messages": messages})
    counted = [label for label in example.labels if label != IGNORED]
    assert encoder.decode(counted) == "xs.sort()<|endoftext|>"
    (plain,) = examples(encoder, {"messages": [{**each, "weight": 1} for each in messages]})
    assert example.ids == plain.ids


def test_the_text_before_an_answer_is_encoded_at_once_as_in_a_prompt(encoder: Encoder) -> None:
    record = {"system": "Be brief.", "prompt": "One?", "input": "Two?", "response": "1"}
    (example,) = examples(encoder, record)
    prompt = "Be brief.\n\n### Instruction\nOne?\n\nTwo?\n\n### Response\n"
    assert example.ids[: example.labels.index(example.ids[-2])] == encoder.encode(prompt)
    assert encoder.decode(example.ids) == prompt + "1<|endoftext|>"


def test_instructions_in_a_row_are_one_and_an_opening_answer_is_context(encoder: Encoder) -> None:
    roles = ("assistant", "user", "user", "assistant", "assistant", "user")
    messages = [{"role": role, "content": f"text {number}"} for number, role in enumerate(roles)]
    (example,) = examples(encoder, {"messages": messages})
    assert encoder.decode(example.ids) == (
        "text 0<|endoftext|>### Instruction\ntext 1\n\ntext 2\n\n### Response\ntext 3\n\ntext 4<|endoftext|>"
    )
    counted = [label for label in example.labels if label != IGNORED]
    assert encoder.decode(counted) == "text 3\n\ntext 4<|endoftext|>"
