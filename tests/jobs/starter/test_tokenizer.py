from __future__ import annotations

import json

from starfreight.jobs.starter import tokenizer as t

TEXTS = [
    "def add(first, second):\n    return first + second\n" * 20,
    "for number in range(1234567):\n    pass\n",
]


def test_special_tokens_have_starcoder2s_ids() -> None:
    made = t.train_tokenizer(TEXTS, 310)
    assert [made.token_to_id(token) for token in t.SPECIAL_TOKENS] == list(range(38))
    assert [
        t.SPECIAL_TOKENS[number] for number in (t.END_OF_TEXT, t.FIM_PREFIX, t.FIM_MIDDLE, t.FIM_SUFFIX)
    ] == [
        "<|endoftext|>",
        "<fim_prefix>",
        "<fim_middle>",
        "<fim_suffix>",
    ]
    assert [t.SPECIAL_TOKENS[number] for number in (t.FIM_PAD, t.REPO_NAME, t.FILE_SEP)] == [
        "<fim_pad>",
        "<repo_name>",
        "<file_sep>",
    ]


def test_every_digit_is_a_token_and_keeps_no_space_before_it() -> None:
    made = t.train_tokenizer(TEXTS, 310)
    assert made.encode("  9").tokens[-1] == "9"
    assert made.encode("1234").tokens == ["1", "2", "3", "4"]


def test_any_text_comes_back_unchanged() -> None:
    made = t.train_tokenizer(TEXTS, 310)
    for text in (" leading", "größe = 'ß'  # 世界\t\r\n", "a\x00b", "\U0001f680" * 3):
        assert made.decode(made.encode(text).ids, skip_special_tokens=False) == text


def test_the_same_text_gives_the_same_tokenizer() -> None:
    assert t.train_tokenizer(TEXTS, 310).to_str() == t.train_tokenizer(TEXTS, 310).to_str()


def test_the_pre_tokenizer_is_digits_then_bytes() -> None:
    steps = json.loads(t.train_tokenizer(TEXTS, 310).to_str())["pre_tokenizer"]["pretokenizers"]
    assert steps[0] == {"type": "Digits", "individual_digits": True}
    assert (steps[1]["type"], steps[1]["add_prefix_space"]) == ("ByteLevel", False)
    assert len(steps) == 2
