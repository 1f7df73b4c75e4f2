"""One reading of a record: every dialect, and every key used, refused or reported."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from starfreight.errors import InputError
from starfreight.jobs.data.dialects import Reading, Turn, read_conversation
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import Example, make_format
from starfreight.jobs.data.rows.values import OtherValue
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe import Data
from starfreight.recipe.data import Columns

Record = Mapping[str, Any]
PLAIN = (Turn("user", "Add."), Turn("assistant", "x += 1"))


def read(record: Record, **columns: str) -> Reading:
    return read_conversation(
        record, Data(source="a.jsonl", format="instruct", columns=Columns(**columns)), "a.jsonl:7"
    )


def user(content: Any, **keys: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **keys}


def assistant(content: Any, **keys: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **keys}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"prompt": "Add.", "response": "x += 1"}, "prompt and response"),
        ({"prompt": "Add.", "completion": "x += 1"}, "prompt and completion"),
        ({"instruction": "Add.", "output": "x += 1"}, "Alpaca"),
        ({"instruction": "Add.", "input": "", "output": "x += 1"}, "Alpaca"),
        ({"instruction": "", "input": "Add.", "output": "x += 1"}, "Alpaca"),
        ({"messages": [user("Add."), assistant("x += 1")]}, "OpenAI messages"),
        (
            {"conversations": [{"from": "human", "value": "Add."}, {"from": "gpt", "value": "x += 1"}]},
            "ShareGPT",
        ),
        (
            {"conversation": [{"from": "user", "value": "Add."}, {"from": "assistant", "value": "x += 1"}]},
            "ShareGPT",
        ),
        ({"conversations": [user("Add."), assistant("x += 1")]}, "OpenAI messages"),
        ({"prompt": [user("Add.")], "completion": [assistant("x += 1")]}, "prompt and completion"),
        (
            {"prompt": None, "response": None, "messages": [user("Add."), assistant("x += 1")]},
            "OpenAI messages",
        ),
        ({"prompt": "Add.", "response": "x += 1", "messages": []}, "prompt and response"),
        ({"prompt": "Add.", "response": "x += 1", "messages": [user("Add."), assistant("x += 1")]}, None),
    ],
    ids=str,
)
def test_each_dialect_gives_the_same_conversation(record: Record, name: str | None) -> None:
    reading = read(record)
    assert (reading.turns, reading.left_out) == (PLAIN, None)
    assert name is None or reading.dialect == name


@pytest.mark.parametrize(
    ("record", "columns"),
    [
        ({"question": "Add.", "answer": "x += 1"}, {"prompt": "question", "response": "answer"}),
        ({"instruction": "Add.", "answer": "x += 1"}, {"response": "answer"}),
        ({"prompt": "no", "chosen": "x += 1", "q": "Add."}, {"prompt": "q", "response": "chosen"}),
        (
            {"talk": [{"role": "human", "text": "Add."}, {"role": "bot", "text": "x += 1"}]},
            {"messages": "talk"},
        ),
        (
            {"prompt": "no", "response": "no", "talk": [user("Add."), assistant("x += 1")]},
            {"messages": "talk"},
        ),
    ],
    ids=str,
)
def test_columns_give_other_names(record: Record, columns: dict[str, str]) -> None:
    assert read(record, **columns).turns == PLAIN


def test_columns_name_what_stands_beside_the_pair() -> None:
    record = {
        "q": "Sort.",
        "a": "sorted(xs)",
        "sys": "Python only.",
        "ctx": "xs = [2, 1]",
        "past": [["Hi", "Ho"]],
    }
    reading = read(record, prompt="q", response="a", system="sys", input="ctx", history="past")
    assert reading.turns == (
        Turn("system", "Python only."),
        Turn("user", "Hi"),
        Turn("assistant", "Ho"),
        Turn("user", "Sort.\n\nxs = [2, 1]"),
        Turn("assistant", "sorted(xs)"),
    )
    assert reading.unused == ()
    with pytest.raises(InputError, match="no column 'moon'") as caught:
        read(record, prompt="q", response="a", system="moon")
    assert "data.columns.system" in str(caught.value.fix)


@pytest.mark.parametrize(
    "keys",
    [
        {"format": "fim", "columns": {"prompt": "question"}},
        {"format": "code", "columns": {"messages": "talk"}},
        {"format": "instruct", "columns": {"messages": "talk", "prompt": "question"}},
        {"format": "instruct", "columns": {"messages": "talk", "history": "past"}},
    ],
    ids=str,
)
def test_a_column_that_would_be_ignored_is_refused_in_the_recipe(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=[*keys["columns"]][-1]):
        Data(source="a.jsonl", **keys)


def test_a_column_displaced_by_the_recipe_is_reported() -> None:
    record = {"prompt": "other", "question": "Add.", "response": "x += 1"}
    reading = read(record, prompt="question")
    assert (reading.turns, reading.unused) == (PLAIN, ("prompt",))


_RICH: dict[str, Record] = {
    "prompt and response": {
        "prompt": "Sort.",
        "response": "xs.sort()",
        "system": "In place.",
        "input": "xs = [2, 1]",
        "history": [["Hi", "Ho"]],
        "id": 7,
        "category": "lists",
        "path": "a.py",
    },
    "prompt and completion": {
        "prompt": "Sort.",
        "completion": "xs.sort()",
        "system_prompt": "In place.",
        "context": "none",
        "label": True,
    },
    "conversational completion": {
        "prompt": [user("Sort.", name="bob")],
        "completion": [assistant("xs.sort()")],
        "history": [["Hi", "Ho"]],
        "input": "xs",
    },
    "Alpaca": {
        "instruction": "Sort.",
        "input": "xs = [2, 1]",
        "output": "xs.sort()",
        "text": "Sort. xs",
        "score": 0.5,
    },
    "OpenAI": {
        "messages": [
            {"role": "developer", "content": "In place."},
            user("Sort.", name="bob", weight=1),
            assistant("sorted(xs)", weight=0, refusal="no", reasoning_content="hm"),
            user([{"type": "text", "text": "No: "}, {"type": "text", "text": "in place."}]),
            assistant("xs.sort()"),
        ],
        "input": "beside",
        "history": [["Hi", "Ho"]],
        "prompt": "Sort.",
        "parallel_tool_calls": False,
    },
    "ShareGPT": {
        "id": "abc",
        "system": "In place.",
        "conversations": [
            {"from": "human", "value": "Sort.", "markdown": "no"},
            {"from": "gpt", "value": "sorted(xs)", "loss": False},
            {"from": "human", "value": "In place."},
            {"from": "gpt", "value": "xs.sort()"},
        ],
    },
}
_FILE_KEYS = {"path"}


def _without(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return every key of a record and of its messages, with the record that lacks it."""
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for key in value:
            rest = {name: each for name, each in value.items() if name != key}
            found.append((f"{path}.{key}".lstrip("."), rest))
            for name, changed in _without(value[key], f"{path}.{key}".lstrip(".")):
                found.append((name, value | {key: changed}))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            for name, changed in _without(each, f"{path}[]"):
                found.append((name, [*value[:number], changed, *value[number + 1 :]]))
    return found


@pytest.mark.parametrize("name", _RICH)
def test_a_key_whose_absence_changes_no_token_is_reported(name: str, encoder: Encoder) -> None:
    form = make_format(Data(source="x", format="instruct"), encoder, 512)

    def learned(record: Any) -> Any:
        sample = Sample("row", record, "sha256:" + "0" * 64, 1)
        try:
            return [
                (each.ids, each.labels) if isinstance(each, Example) else each
                for each in form.examples([sample], random.Random(0))
            ]
        except InputError as error:
            return error.what

    record = json.loads(json.dumps(_RICH[name]))
    whole = learned(record)
    assert isinstance(whole, list) and isinstance(whole[0], tuple)
    silent = {
        key for key, rest in _without(record) if learned(rest) == whole and not key.startswith("history[]")
    }
    assert silent - _FILE_KEYS == set(read(record).unused)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "a", "response": ""}, "empty answer"),
        ({"prompt": "a", "response": " \n"}, "empty answer"),
        ({"prompt": "a", "response": None}, "empty answer"),
        ({"prompt": " ", "response": "b"}, "empty instruction"),
        ({"prompt": None, "response": "b"}, "empty instruction"),
        ({"prompt": "a", "completion": "b", "label": False}, "label is false"),
        ({"prompt": "a", "response": "b", "tools": [{"name": "read"}]}, "has tools"),
        ({"messages": [user("a"), assistant("b")], "functions": [{"name": "read"}]}, "has tools"),
        (
            {
                "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}],
                "tools": '[{"name": "read"}]',
            },
            "has tools",
        ),
        ({"messages": [user("a"), assistant("b", tool_calls=[{"id": "1"}])]}, "has tool calls"),
        ({"messages": [user("a"), assistant(None, function_call={"name": "f"})]}, "has tool calls"),
        ({"messages": [user("a"), {"role": "tool", "content": "r"}, assistant("b")]}, "has tool messages"),
        (
            {
                "conversations": [
                    {"from": "human", "value": "a"},
                    {"from": "observation", "value": "r"},
                    {"from": "gpt", "value": "b"},
                ]
            },
            "has tool messages",
        ),
        ({"messages": [user("a"), assistant(None)]}, "empty answer"),
        ({"messages": [user("a"), {"role": "assistant"}]}, "empty answer"),
        ({"messages": [user(""), assistant("b")]}, "empty instruction"),
        (
            {"messages": [user([{"type": "image_url", "image_url": {"url": "x"}}]), assistant("b")]},
            "has a part of type image_url",
        ),
        ({"messages": []}, "no answer"),
        ({"messages": [user("a")]}, "no answer"),
        ({"messages": [assistant("b")]}, "no instruction before the answer"),
        ({"messages": [user("a"), assistant("b", weight=0)]}, "no answer to learn"),
        (
            {"messages": [user("a"), assistant("b", weight=0), assistant("c")]},
            "answers in a row with different weights",
        ),
        (
            {"messages": [user("a"), {"role": "system", "content": "s"}, assistant("b")]},
            "system message between an instruction and its answer",
        ),
        ({"prompt": "a", "response": "b", "history": [["q", ""]]}, "empty answer"),
        (
            {"prompt": "a", "response": "b", "history": [user("q"), {"role": "tool", "content": "r"}]},
            "has tool messages",
        ),
    ],
    ids=str,
)
def test_a_record_without_a_conversation_to_learn_is_left_out_with_the_reason(
    record: Record, reason: str
) -> None:
    reading = read(record)
    assert (reading.left_out, reading.turns) == (reason, ())


@pytest.mark.parametrize(
    ("record", "words", "fix"),
    [
        (
            {"prompt": "a"},
            "nearest is prompt and response; missing: response",
            "columns: {prompt: ..., response",
        ),
        ({"question": "a", "answer": "b"}, "no known dialect", "{prompt: question, response: answer}"),
        (
            {"instruction": "a", "context": "c", "response": "b"},
            "nearest is",
            "{prompt: instruction, response: response, input: context}",
        ),
        (
            {"system_prompt": "s", "question": "a", "response": "b"},
            "nearest is prompt and response; missing: prompt",
            "{prompt: question, response: response, system: system_prompt}",
        ),
        ({"dialog": [user("a")]}, "nearest is OpenAI messages; missing: messages", "{messages: dialog}"),
        ({"text": "abc"}, "no known dialect", "data.format to code"),
        ({}, "no known dialect", "its keys: none"),
        ({"prefix": "a", "middle": "b", "suffix": "c"}, "fill-in-the-middle", "data.format to fim"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preferences", "response: chosen"),
        ({"prompt": "a", "response": ["b"]}, "'response' is of type list, not text", "write it as text"),
        ({"prompt": {"a": 1}, "response": "b"}, "'prompt' is of type object, not text", "write it as text"),
        ({"prompt": "a", "response": b"b"}, "'response' is of type bytes, not text", "write it as text"),
        ({"prompt": "a", "response": OtherValue(None, "Image")}, "'response' is of type Image", "as text"),
        ({"messages": [user("a"), {"role": "critic", "content": "b"}]}, "unknown role 'critic'", "assistant"),
        ({"messages": [user("a"), {"author": "me", "content": "b"}]}, "no key 'role'", "author, content"),
        ({"messages": [user("a"), {"role": None, "content": "b"}]}, "unknown role 'None'", "assistant"),
        ({"messages": ["hello"]}, "not an object", "role"),
        ({"messages": "[{}]"}, "'messages' is of type text, not a list", "role"),
        (
            {"messages": [user("a"), assistant({"text": "b"})]},
            r"messages\[1\].content' is of type object",
            "text",
        ),
        ({"messages": [user("a"), assistant("b", weight=0.5)]}, "weight '0.5'", "write 0 or 1"),
        ({"messages": [user("a"), assistant("b", weight="1")]}, "weight '1'", "write 0 or 1"),
        ({"messages": [user("a"), assistant("b", weight=1, loss=False)]}, "different values", "keep one"),
        ({"messages": [user("a"), assistant("b", mask=True)]}, "'mask', whose meaning differs", "weight: 0"),
        (
            {"prompt": "a", "response": "b", "messages": [user("a"), assistant("c")]},
            "two different",
            "columns",
        ),
        ({"prompt": "a", "response": "b", "completion": "c"}, "two different", "columns"),
        ({"prompt": "a", "response": "b", "history": "earlier"}, "not a list of pairs", "instruction"),
        (
            {"prompt": "a", "response": "b", "system": "s", "system_prompt": "t"},
            "different texts",
            "keep one",
        ),
        (
            {"system": "s", "messages": [{"role": "system", "content": "t"}, user("a"), assistant("b")]},
            "different texts",
            "keep one",
        ),
    ],
    ids=str,
)
def test_a_record_of_unknown_meaning_is_refused_with_the_way_out(
    record: Record, words: str, fix: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(record)
    assert str(caught.value.where).startswith("a.jsonl:7")
    assert fix in str(caught.value.fix)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10, "10"),
        (0.5, "0.5"),
        (True, "true"),
        (10**30, "1" + "0" * 30),
        (OtherValue(date(2024, 1, 31).isoformat(), ""), "2024-01-31"),
        (OtherValue("1.50", ""), "1.50"),
    ],
    ids=str,
)
def test_numbers_and_dates_are_taken_as_text(value: Any, text: str) -> None:
    assert read({"prompt": "When?", "response": value}).turns[-1].text == text
    assert read({"instruction": value, "output": "b"}).turns[0].text == text
    assert read({"messages": [user(value), assistant(value)]}).answer == text
    assert read({"prompt": "a", "input": value, "response": "b"}).turns[0].text == f"a\n\n{text}"


def test_turns_are_put_in_the_order_of_the_template() -> None:
    reading = read(
        {
            "messages": [
                {"role": "system", "content": "One."},
                {"role": "system", "content": "Two."},
                assistant("Hello."),
                user("a"),
                user("b"),
                assistant("c"),
                assistant("d"),
                {"role": "system", "content": "Three."},
                user("e"),
                assistant("f"),
                user("last"),
            ]
        }
    )
    assert reading.turns == (
        Turn("system", "One.\n\nTwo."),
        Turn("assistant", "Hello.", learn=False),
        Turn("user", "a\n\nb"),
        Turn("assistant", "c\n\nd"),
        Turn("system", "Three."),
        Turn("user", "e"),
        Turn("assistant", "f"),
    )
    assert reading.dropped == ("messages after the last answer",)
    assert reading.notes == (
        "with messages of one role in a row (joined)",
        "with a system message",
        "with an answer before the first instruction (not learned)",
    )
    assert reading.answer == "c\n\nd\n\nf"


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "a", "response": "b", "id": 3},
        {"messages": [user("a"), assistant("b", weight=1)]},
        {"messages": [user("a", name="bob"), assistant("b"), user("c")]},
        {"prompt": "a", "response": "b", "system": "", "input": None, "history": [], "tools": []},
    ],
    ids=str,
)
def test_a_record_that_was_read_right_before_has_no_notes(record: Record) -> None:
    reading = read(record)
    assert (reading.notes, reading.as_before, reading.left_out) == ((), True, None)
