"""Added tokens of a ``tokenizer.json``: those that training and llama.cpp find in the same places.

Both look for added tokens in a text before they split it. In source code, training reads the tokens marked
``special`` as text, and so does llama.cpp, which calls them control tokens. A fill-in-the-middle token
without the mark would be found in code about fill in the middle; one in the vocabulary alone, nowhere.
llama.cpp knows no ``lstrip``, ``rstrip`` or ``single_word``, searches long tokens first instead of from left
to right, and gives tokens of certain names a type of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.errors import InputError

CONTROL_NAMES = frozenset({
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
    "<｜end▁of▁sentence｜>", "[e~[", "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>",
    "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
    "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>", "<|fim_middle|>", "<fim-middle>",
    "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>", "<|fim_pad|>",
    "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>",
    "<reponame>", "<|file_sep|>", "<pad>", "<mask>", "<2mass>", "[@BOS@]",
})  # fmt: skip
"""Tokens that llama.cpp, or its converter, makes control tokens whatever their flag (``llama-vocab.cpp``)."""

TEXT_NAMES = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
"""Tokens that llama.cpp finds in any text, whatever their flag."""

_CONTROL_ENDS = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))
_LONGEST = 200
_FIX = "restore the base model's own tokenizer.json"


@dataclass(frozen=True)
class AddedToken:
    """A token matched verbatim before the text is split."""

    id: int
    text: str
    special: bool


def is_control_name(text: str) -> bool:
    """True if llama.cpp, or its converter, makes a token of this text a control token whatever its flag."""
    enclosed = any(text.startswith(first) and text.endswith(last) for first, last in _CONTROL_ENDS)
    return enclosed or text in CONTROL_NAMES


def read_added_tokens(path: Path, entries: Any, vocabulary: Mapping[str, int]) -> tuple[AddedToken, ...]:
    """The added tokens in order of id.

    Args:
        path: the file, for errors.
        entries: its ``added_tokens``.
        vocabulary: ids of the BPE model.

    Raises:
        InputError: an entry is invalid, or has another id than the tokenizers library gives it.
    """
    added: list[AddedToken] = []
    following = len(vocabulary)
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        where = f"{path}: added_tokens[{number}]"
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("content"), str)
            or not entry["content"]
            or type(entry.get("id")) is not int
        ):
            raise InputError("An added token is not valid.", where=where, fix=_FIX)
        text = entry["content"]
        if any(token.text == text for token in added):
            raise InputError(f"The token {text!r:.60} is added twice.", where=where, fix=_FIX)
        # The library does not read the ids of tokens outside the vocabulary: it counts them.
        if text not in vocabulary and entry["id"] != following:
            raise InputError(
                f"The added token {text!r:.60} has the id {entry['id']}, but the tokenizers library would "
                f"give it {following}.",
                where=where,
                fix=_FIX,
            )
        following += text not in vocabulary
        # The vocabulary writes each byte as a character: there, "é" is a byte and no letter.
        if text in vocabulary and not all("!" <= character <= "~" for character in text):
            raise InputError(
                f"The added token {text!r:.60} is also a token of bytes in the vocabulary.",
                where=where,
                fix=_FIX,
            )
        for flag in ("lstrip", "rstrip", "single_word"):
            if entry.get(flag) not in (None, False):
                raise InputError(
                    f"The added token {text!r:.60} has the flag {flag}, which llama.cpp does not apply.",
                    where=f"{where}.{flag}",
                    fix="set it to false if the model was trained so; otherwise use another base model",
                )
        added.append(AddedToken(entry["id"], text, entry.get("special") is True))
    return tuple(sorted(added, key=lambda token: token.id))


def check_added_tokens(
    path: Path,
    added: Sequence[AddedToken],
    ids: Mapping[str, int],
    merges: Collection[str],
    required: Collection[str],
) -> None:
    """Check that training and llama.cpp find the same added tokens in any text.

    Args:
        path: the file, for errors.
        added: the added tokens.
        ids: of all tokens.
        merges: ``"left right"``.
        required: texts of the tokens that must be special if the tokenizer has them.

    Raises:
        InputError: names the token, and the key to correct.
    """
    texts = {token.text for token in added}
    for text in sorted(ids):
        if text not in texts and (text in required or text in CONTROL_NAMES):
            raise InputError(
                f"The token {text} is in the vocabulary, but not an added token.",
                where=f"{path}: added_tokens",
                fix=f'add {{"id": {ids[text]}, "content": "{text}", "special": true}} with the other '
                "flags false, as in the tokenizer.json of the model's authors",
            )
    for token in added:
        _check_flag(path, token, required)
        _check_text(path, token)
    _check_merges(path, {token.text for token in added if token.special}, merges)
    for one, other in _overlaps(added):
        raise InputError(
            f"The added tokens {one!r:.60} and {other!r:.60} overlap. Where both fit a text, llama.cpp would "
            "choose another than training.",
            where=f"{path}: added_tokens",
            fix="use a base model without one of them",
        )


def _check_flag(path: Path, token: AddedToken, required: Collection[str]) -> None:
    if not token.special and (
        token.text in required or (is_control_name(token.text) and token.text not in TEXT_NAMES)
    ):
        raise InputError(
            f"The added token {token.text!r:.60} is not special: training would find it in the text of "
            "source files, and llama.cpp would not.",
            where=f"{path}: added_tokens, id {token.id}",
            fix='set "special": true for this token',
        )
    if token.special and token.text in TEXT_NAMES:
        raise InputError(
            f"The added token {token.text} is special, but llama.cpp finds it in any text.",
            where=f"{path}: added_tokens, id {token.id}",
            fix='set "special": false for this token if the model was trained so; otherwise use another base '
            "model",
        )


def _check_text(path: Path, token: AddedToken) -> None:
    if len(token.text) > _LONGEST:
        raise InputError(
            f"An added token has {len(token.text):,} characters, more than {_LONGEST}.",
            where=f"{path}: added_tokens, id {token.id}",
            fix=_FIX,
        )
    if "\n" in token.text or "\0" in token.text:
        raise InputError(
            f"The added token {token.text!r:.60} contains a line break or a null character.",
            where=f"{path}: added_tokens, id {token.id}",
            fix="use a base model without this token",
        )


def _check_merges(path: Path, special: Collection[str], merges: Collection[str]) -> None:
    for rank, merge in enumerate(merges):
        text = merge.replace(" ", "")
        if text in special:
            raise InputError(
                f"The special token {text!r:.60} can also result from ordinary text, by a merge.",
                where=f"{path}: model.merges[{rank}]",
                fix=_FIX,
            )


def _overlaps(added: Sequence[AddedToken]) -> Iterator[tuple[str, str]]:
    """Pairs of which one contains the other, or begins as the other ends."""
    texts = {token.text for token in added}
    sizes = sorted({len(text) for text in texts})
    owners: dict[str, list[str]] = {}
    for text in sorted(texts):
        for size in range(1, len(text)):
            owners.setdefault(text[:size], []).append(text)
    for text in sorted(texts):
        for size in sizes:
            for start in range(len(text) - size + 1):
                if size < len(text) and text[start : start + size] in texts:
                    yield text, text[start : start + size]
        for start in range(1, len(text)):
            for owner in owners.get(text[start:], ()):
                if owner != text:
                    yield text, owner
