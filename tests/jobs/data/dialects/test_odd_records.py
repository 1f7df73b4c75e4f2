"""Records as people have them: NaN for nothing, keys of two tools, structures of other tools."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.dialects import Reading, Turn, read_conversation
from starfreight.recipe import Data
from starfreight.recipe.data import Columns

PLAIN = (Turn("user", "Add."), Turn("assistant", "x += 1"))
NAN = math.nan
ASKED = {"role": "user", "content": "Add."}


def read(record: Mapping[str, Any], **columns: str) -> Reading:
    data = Data(source="a.jsonl", format="instruct", columns=Columns(**columns))
    return read_conversation(record, data, "a.jsonl:7")


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "Add.", "input": NAN, "output": "x += 1"},
        {"prompt": "Add.", "response": "x += 1", "system": NAN, "history": NAN, "license": NAN},
        {"prompt": "Add.", "response": "x += 1", "messages": NAN},
        {"messages": [ASKED, {"role": "assistant", "content": "x += 1", "weight": NAN}], "tools": NAN},
    ],
    ids=str,
)
def test_nan_is_a_missing_value(record: dict[str, Any]) -> None:
    reading = read(record)
    assert (reading.turns, reading.left_out, reading.notes, reading.unused) == (PLAIN, None, (), ())


def test_an_answer_or_instruction_of_nan_is_empty() -> None:
    assert read({"prompt": "Add.", "response": NAN}).left_out == "empty answer"
    assert read({"q": NAN, "a": "x += 1"}, prompt="q", response="a").left_out == "empty instruction"
    assert read({"messages": [ASKED, {"role": "assistant", "content": NAN}]}).left_out == "empty answer"


@pytest.mark.parametrize("empty", ["", [], {}, None], ids=str)
def test_an_empty_value_beside_a_conversation_is_a_missing_one(empty: Any) -> None:
    assert read({"prompt": "Add.", "response": "x += 1", "input": empty, "system": empty}).turns == PLAIN


@pytest.mark.parametrize("key", ["input", "system"])
def test_other_values_beside_a_conversation_are_text_or_refused(key: str) -> None:
    assert "[]" in str(read({"prompt": "Add.", "response": "x += 1", key: "[]"}).turns)
    with pytest.raises(InputError, match=f"'{key}' is of type list"):
        read({"prompt": "Add.", "response": "x += 1", key: ["y"]})


def test_an_infinite_number_is_no_text() -> None:
    with pytest.raises(InputError, match="'response'"):
        read({"prompt": "Add.", "response": math.inf})


@pytest.mark.parametrize(
    "messages",
    [
        [ASKED, {"role": "assistant", "text": "x += 1"}],
        [{"from": "human", "value": "Add."}, {"role": "assistant", "content": "x += 1"}],
        [ASKED, {"from": "gpt", "value": "x += 1"}],
        [{"role": "user", "content": None, "text": "Add."}, {"role": "assistant", "content": "x += 1"}],
    ],
    ids=str,
)
def test_each_message_may_have_the_keys_of_another_tool(messages: list[dict[str, Any]]) -> None:
    reading = read({"messages": messages})
    assert (reading.turns, reading.unused) == (PLAIN, ())


def test_messages_without_a_key_for_their_text_are_an_error_that_names_their_keys() -> None:
    parts = [{"role": "user", "parts": [{"text": "Add."}]}, {"role": "model", "parts": [{"text": "x += 1"}]}]
    with pytest.raises(InputError, match="no key 'content'") as caught:
        read({"contents": parts}, messages="contents")
    assert "parts, role" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("record", "fix"),
    [
        ({"data": [{"prompt": "Add.", "response": "x += 1"}]}, "each object of the list 'data' as a record"),
        ({"chats": [ASKED]}, "{messages: chats}"),
        ({"chosen": [ASKED], "rejected": [ASKED]}, "{messages: chosen}"),
        ({"prompt": "Add.", "chosen": "x += 1", "rejected": "y"}, "{prompt: prompt, response: chosen}"),
    ],
)
def test_the_way_out_of_an_unknown_record_leads_out(record: dict[str, Any], fix: str) -> None:
    with pytest.raises(InputError) as caught:
        read(record)
    assert fix in str(caught.value.fix)
