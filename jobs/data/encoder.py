"""Conversion of text to token ids, exactly as in the packaged model."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.jobs.data.fim import FimTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORD_END = re.compile(r"[!-~]\n")


@dataclass(frozen=True)
class RepositoryTokens:
    """The ids of the tokens for names of repositories and files.

    Attributes:
        repository: ``<repo_name>`` of StarCoder 2, ``<reponame>`` of StarCoder 1.
        file: ``<file_sep>`` or ``<filename>``.
        separates: true if ``file`` precedes every file, as in StarCoder 2. In StarCoder 1 it precedes a path,
            and cannot be used without one.
    """

    repository: int
    file: int
    separates: bool


class Encoder:
    """The tokenizer of a base model, read from its ``tokenizer.json`` alone.

    transformers 5 would rebuild StarCoder2's tokenizer without the rule that splits digits. Special tokens
    spelled out in source code are encoded as text.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True
        self.fim = FimTokens(
            prefix=self._special("<fim_prefix>"),
            middle=self._special("<fim_middle>"),
            suffix=self._special("<fim_suffix>"),
            end_of_text=self._special("<|endoftext|>"),
        )
        self.repository = self._repository()
        self.splits_lines = _splits_lines(json.loads(self._tokenizer.to_str()))
        """True if the newline at the end of a word always begins a token, in any context."""
        self.size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        """Number of token ids."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_file(self, text: str) -> EncodedText:
        """Encode a text of which pieces will be encoded, too."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return EncodedText(self, text, encoding.ids, [start for start, _ in encoding.offsets])

    def decode(self, ids: list[int]) -> str:
        """Return the text of token ids, with special tokens spelled out."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False)
        return text

    def _repository(self) -> RepositoryTokens | None:
        for repository, file, separates in (
            ("<repo_name>", "<file_sep>", True),
            ("<reponame>", "<filename>", False),
        ):
            ids = self._tokenizer.token_to_id(repository), self._tokenizer.token_to_id(file)
            if ids[0] is not None and ids[1] is not None:
                return RepositoryTokens(ids[0], ids[1], separates)
        return None

    def _special(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:  # The base model was checked before, so this is a bug.
            raise ValueError(f"the tokenizer has no {token}")
        return int(number)


class EncodedText:
    """A text with its token ids, from which the ids of its pieces are obtained cheaply.

    Encoding takes nearly all the time of making examples, and a file is encoded twice: as a whole, to find
    the ends of windows, and in pieces. The inner ids of a piece are taken from the whole; only the lines at
    its ends are encoded again. The result is exactly that of encoding the piece by itself.
    """

    def __init__(self, encoder: Encoder, text: str, ids: list[int], starts: list[int]) -> None:
        self._encoder, self._ids = encoder, ids
        self.text = text
        self.starts = starts
        """Character at which each token starts."""

    def encode(self, begin: int, end: int, before: str = "") -> list[int]:
        """Return the token ids of ``before + text[begin:end]``."""
        text = self.text
        first = _WORD_END.search(text, begin, end) if self._encoder.splits_lines else None
        last = text.rfind("\n", begin, end)
        while first is not None and last > first.end() and not "!" <= text[last - 1] <= "~":
            last = text.rfind("\n", begin, last)
        if first is None or last <= first.end():
            return self._encoder.encode(before + text[begin:end])
        newline = first.end() - 1
        inside = self._ids[bisect.bisect_left(self.starts, newline) : bisect.bisect_left(self.starts, last)]
        head = self._encoder.encode(before + text[begin:newline])
        return [*head, *inside, *self._encoder.encode(text[last:end])]


def _splits_lines(tokenizer: Mapping[str, Any]) -> bool:
    """Return true for a tokenizer of GPT-2's family, such as StarCoder's.

    Its pattern never joins white space to a preceding character in one word, and words are encoded one by
    one.
    """
    rules = tokenizer.get("pre_tokenizer") or {}
    steps = rules.get("pretokenizers", [rules])
    return (
        not tokenizer.get("normalizer")
        and all(
            step.get("type") == "Digits"
            or (
                step.get("type") == "ByteLevel"
                and step.get("use_regex", True)
                and not step["add_prefix_space"]
            )
            for step in steps
        )
        and any(step.get("type") == "ByteLevel" for step in steps)
    )
