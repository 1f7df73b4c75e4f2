"""A tokenizer is taken only when llama.cpp will split text as it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import check_tokenizer
from starfreight.checkpoint.tokenizer import TOKENIZER_LIMIT
from starfreight.errors import InputError

DIGITS = {"type": "Digits", "individual_digits": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@pytest.fixture
def folder(tokenizer_files: Mapping[str, bytes], tmp_path: Path) -> Path:
    """A folder with StarCoder2's kind of tokenizer."""
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files["starcoder2"])
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the tokenizer in place."""
    data = json.loads((folder / "tokenizer.json").read_text())
    change(data)
    (folder / "tokenizer.json").write_text(json.dumps(data))


def refused(folder: Path) -> InputError:
    """The error that checking the tokenizer ends with."""
    with pytest.raises(InputError) as caught:
        check_tokenizer(folder, "starcoder2")
    assert "tokenizer.json" in str(caught.value.where)
    return caught.value


def test_a_sound_tokenizer_gives_tokens_merges_and_ids(folder: Path) -> None:
    from tokenizers import Tokenizer

    found = check_tokenizer(folder, "starcoder2")
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [reference.id_to_token(number) for number in range(reference.get_vocab_size())] == list(
        found.tokens
    )
    assert [token.text for token in found.added][:2] == ["<|endoftext|>", "<fim_prefix>"]
    assert all(token.special for token in found.added)
    assert found.fim == {"prefix": 1, "middle": 2, "suffix": 3, "pad": 4, "repository": 5, "separator": 6}
    assert found.end_of_text == 0
    assert all(len(merge.split(" ")) == 2 for merge in found.merges)


def test_starcoder_1_has_its_own_repository_token_and_no_separator(
    tokenizer_files: Mapping[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files["starcoder"])
    found = check_tokenizer(tmp_path, "starcoder")
    assert found.fim == {"prefix": 1, "middle": 2, "suffix": 3, "pad": 4, "repository": 18}


def test_merges_are_read_in_both_spellings(folder: Path) -> None:
    expected = check_tokenizer(folder, "starcoder2").merges
    as_pairs = [merge.split(" ") for merge in expected]
    for merges in (as_pairs, list(expected)):
        edit(folder, lambda data, merges=merges: data["model"].update(merges=merges))
        assert check_tokenizer(folder, "starcoder2").merges == expected


def test_what_transformers_makes_of_starcoder2s_tokenizer_is_refused_with_the_cure(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=64)
    PreTrainedTokenizerFast.from_pretrained(base).save_pretrained(tmp_path / "kept")
    check_tokenizer(tmp_path / "kept", "starcoder2")
    (base / "tokenizer_config.json").unlink()
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "ruined")
    error = refused(tmp_path / "ruined")
    assert "[ByteLevel]" in error.what
    assert "PreTrainedTokenizerFast" in str(error.fix)
    assert "restore" in str(error.fix)


@pytest.mark.parametrize(
    "steps",
    [
        None,
        BYTES,
        {"type": "Sequence", "pretokenizers": []},
        {"type": "Sequence", "pretokenizers": [BYTES]},
        {"type": "Sequence", "pretokenizers": [BYTES, DIGITS]},
        {"type": "Sequence", "pretokenizers": [DIGITS | {"individual_digits": False}, BYTES]},
        {"type": "Sequence", "pretokenizers": [DIGITS, BYTES | {"add_prefix_space": True}]},
        {"type": "Sequence", "pretokenizers": [DIGITS, BYTES | {"use_regex": False}]},
        {"type": "Sequence", "pretokenizers": [DIGITS, BYTES, {"type": "Whitespace"}]},
        {"type": "Sequence", "pretokenizers": "x"},
        {"type": "Sequence", "pretokenizers": ["x", 1]},
        "text",
    ],
)
def test_any_other_splitting_is_refused(folder: Path, steps: object) -> None:
    edit(folder, lambda data: data.update(pre_tokenizer=steps))
    error = refused(folder)
    assert "Digits (one by one), ByteLevel" in error.what
    assert "PreTrainedTokenizerFast" in str(error.fix)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: data.update(normalizer={"type": "NFKC"}), "changes text"),
        (lambda data: data.update(post_processor={"type": "BertProcessing"}), "adds tokens"),
        (
            lambda data: data.update(
                post_processor={"type": "TemplateProcessing", "special_tokens": {"x": {}}}
            ),
            "adds tokens",
        ),
        (lambda data: data.update(post_processor=[]), "adds tokens"),
        (lambda data: data["model"].update(type="Unigram"), "not a BPE"),
        (lambda data: data.update(model=None), "not a BPE"),
        (lambda data: data["model"].update(byte_fallback=True), "byte_fallback"),
        (lambda data: data["model"].update(vocab={}), "no vocabulary"),
        (lambda data: data["model"].update(vocab=[]), "no vocabulary"),
        (lambda data: data["model"].update(merges=5), "no merges"),
        (lambda data: data["model"]["merges"].append("a"), "not a pair"),
        (lambda data: data["model"]["merges"].append(["a", "b c"]), "not a pair"),
        (lambda data: data["model"]["merges"].append(["zz", "qq"]), "not a pair"),
        (lambda data: data["model"]["merges"].append(7), "not a pair"),
        (lambda data: data["model"]["vocab"].update(new=-1), "no valid id"),
        (lambda data: data["model"]["vocab"].update(new=10**9), "no valid id"),
        (lambda data: data["model"]["vocab"].update(new="5"), "no valid id"),
        (lambda data: data["model"]["vocab"].update(new=9), "Two tokens have the id 9"),
        (lambda data: data["added_tokens"][4].update(id=400), "has two ids"),
        (lambda data: data["added_tokens"].append({"id": 999, "content": "<fim_pad>"}), "added twice"),
        (lambda data: data["added_tokens"].append({"id": "x", "content": "y"}), "added token is not valid"),
        (lambda data: data["added_tokens"].append(3), "added token is not valid"),
    ],
)
def test_an_unsound_tokenizer_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], what: str
) -> None:
    edit(folder, change)
    assert what in refused(folder).what


def test_a_tokenizer_without_end_of_text_is_refused(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text().replace("<|endoftext|>", "<end>")
    (folder / "tokenizer.json").write_text(text)
    assert "<|endoftext|>" in refused(folder).what


def test_a_file_that_is_missing_or_no_json_or_too_large_is_refused(folder: Path) -> None:
    path = folder / "tokenizer.json"
    with path.open("r+b") as stream:
        stream.truncate(TOKENIZER_LIMIT + 1)
    assert "larger than" in refused(folder).what
    path.write_text("{")
    assert "not valid JSON" in refused(folder).what
    path.write_text("[]")
    assert "not a JSON object" in refused(folder).what
    path.unlink()
    assert "no file tokenizer.json" in refused(folder).what
