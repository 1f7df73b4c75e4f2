"""An added token is taken only when training and llama.cpp find it in the same places."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import check_tokenizer
from starfreight.checkpoint.added_tokens import TEXT_NAMES, is_control_name
from starfreight.checkpoint.byte_alphabet import byte_alphabet
from starfreight.checkpoint.layout import Architecture
from starfreight.errors import InputError

Edit = Callable[[dict[str, Any]], object]

MARKS: list[tuple[Architecture, str]] = [
    *(
        ("starcoder2", text)
        for text in (
            "<|endoftext|>",
            "<fim_prefix>",
            "<fim_middle>",
            "<fim_suffix>",
            "<fim_pad>",
            "<repo_name>",
            "<file_sep>",
        )
    ),
    *(
        ("starcoder", text)
        for text in ("<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<reponame>", "<filename>")
    ),
]


@pytest.fixture
def check(tokenizer_files: Mapping[str, bytes], tmp_path: Path) -> Callable[..., Any]:
    """Checks a tokenizer after a change to its JSON."""

    def checked(change: Edit, architecture: Architecture = "starcoder2") -> Any:
        data = json.loads(tokenizer_files[architecture])
        change(data)
        (tmp_path / "tokenizer.json").write_text(json.dumps(data))
        return check_tokenizer(tmp_path, architecture)

    return checked


def adding(text: str, **flags: Any) -> Edit:
    """Adds a token under the id that the tokenizers library gives it."""

    def change(data: dict[str, Any]) -> None:
        vocabulary = data["model"]["vocab"]
        outside = sum(each["content"] not in vocabulary for each in data["added_tokens"])
        number = vocabulary.get(text, len(vocabulary) + outside)
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        data["added_tokens"].append({"id": number, "content": text} | plain | flags)

    return change


def both(*changes: Edit) -> Edit:
    """Several changes."""

    def change(data: dict[str, Any]) -> None:
        for each in changes:
            each(data)

    return change


@pytest.mark.parametrize(("architecture", "mark"), MARKS)
def test_a_mark_of_training_that_is_not_special_is_refused_with_the_key(
    check: Callable[..., Any], architecture: Architecture, mark: str
) -> None:
    def unmark(data: dict[str, Any]) -> None:
        next(each for each in data["added_tokens"] if each["content"] == mark)["special"] = False

    with pytest.raises(InputError) as caught:
        check(unmark, architecture)
    assert mark in caught.value.what
    assert "not special" in caught.value.what
    assert '"special": true' in str(caught.value.fix)


@pytest.mark.parametrize(("architecture", "mark"), MARKS)
def test_a_mark_of_training_in_the_vocabulary_alone_is_refused_with_the_entry_to_add(
    check: Callable[..., Any], architecture: Architecture, mark: str
) -> None:
    def take(data: dict[str, Any]) -> None:
        data["added_tokens"] = [each for each in data["added_tokens"] if each["content"] != mark]

    with pytest.raises(InputError) as caught:
        check(take, architecture)
    assert f"{mark} is in the vocabulary, but not an added token" in caught.value.what
    assert f'"content": "{mark}"' in str(caught.value.fix)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (adding("<mark>", lstrip=True), "lstrip"),
        (adding("<mark>", rstrip=True), "rstrip"),
        (adding("<mark>", single_word=True), "single_word"),
        (adding("<mark>", special=False, rstrip=True), "rstrip"),
        (adding("<mark>\n"), "line break"),
        (adding("\n\n", special=False), "line break"),
        (adding("a\0b", special=False), "null character"),
        (adding("<|mark|>", special=False), "not special"),
        (adding("</s>", special=False), "not special"),
        (adding("<EOT>", special=False), "not special"),
        (adding("<|start|>"), "finds it in any text"),
        (adding("x" * 201), "characters"),
        (adding("\u00e9", special=False), "bytes in the vocabulary"),
        (both(adding("qxj", special=False), adding("xjz", special=False)), "overlap"),
        (both(adding("qxjz", special=False), adding("xj", special=False)), "overlap"),
        (adding("fim_pre", special=False), "overlap"),
        (adding("|><|"), "overlap"),
        (adding("<", special=False), "overlap"),
        (adding("<mark>", id=3000), "would give it"),
        (both(adding("<mark>"), adding("<mark>")), "added twice"),
        (lambda data: data["model"]["vocab"].update({"</s>": len(data["model"]["vocab"])}), "not an added"),
        (lambda data: data.update(truncation={"max_length": 512}), "truncation"),
        (lambda data: data.update(padding={"strategy": "BatchLongest"}), "padding"),
        (lambda data: data["model"]["merges"].append(data["model"]["merges"][0]), "merge twice"),
        (lambda data: data["model"].update(merges=["< f"] + data["model"]["merges"]), "not a pair"),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_apply_differently_is_refused(
    check: Callable[..., Any], change: Edit, what: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(change)
    assert what in caught.value.what
    assert caught.value.fix


def test_a_special_token_that_text_can_become_is_refused(check: Callable[..., Any]) -> None:
    def change(data: dict[str, Any]) -> None:
        joined = ["".join(merge) for merge in data["model"]["merges"]]
        adding(next(text for text in joined if text.isascii()))(data)

    with pytest.raises(InputError, match="by a merge"):
        check(change)


@pytest.mark.parametrize(
    "change",
    [
        adding("<mark>"),
        adding("<mark>", normalized=True),
        adding("foobar", special=False),
        adding("foo bar", special=False),
        adding("日本", special=False),
        adding("abab", special=False),
        adding("<|start|>", special=False),
        both(adding("<|im_start|>"), adding("<|im_end|>")),
    ],
)
def test_other_added_tokens_are_taken(check: Callable[..., Any], change: Edit) -> None:
    assert len(check(change).added) > len(check(lambda data: None).added)


def test_bytes_of_no_text_may_be_missing_and_others_not(check: Callable[..., Any]) -> None:
    alphabet = byte_alphabet()

    def without(byte: int) -> Edit:
        def change(data: dict[str, Any]) -> None:
            number = data["model"]["vocab"].pop(alphabet[byte])
            data["model"]["vocab"]["unused-token"] = number

        return change

    check(without(0xF1))
    with pytest.raises(InputError, match="byte 0xE6"):
        check(without(0xE6))


def test_the_alphabet_of_bytes_is_that_of_the_tokenizers_library() -> None:
    from tokenizers import pre_tokenizers

    assert sorted(byte_alphabet()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert byte_alphabet()[ord(" ")] == "\u0120"


def test_names_of_control_tokens_are_told_by_text_or_form() -> None:
    assert all(map(is_control_name, ("<|anything|>", "<unused7>", "</s>", "[PAD]", *TEXT_NAMES)))
    assert not any(map(is_control_name, ("<mark>", "def", "<|", "|>")))
