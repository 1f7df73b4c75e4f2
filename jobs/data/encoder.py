"""Text to token ids, exactly as the packaged model will see it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jobs.data.fim import FimTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Encoder:
    """The tokenizer of a base model, read from its ``tokenizer.json`` and from nothing else.

    transformers 5 would build StarCoder2's tokenizer anew and lose the rule that splits digits;
    and a special token that is spelled out in somebody's source code is text here, not a command.
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

    def encode(self, text: str) -> list[int]:
        """The token ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def token_starts(self, text: str) -> list[int]:
        """At which character each token of a text starts."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return [start for start, _ in offsets]

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, special tokens spelled out."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False)
        return text

    def _special(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:  # The base model was checked before, so this is a fault of ours.
            raise ValueError(f"the tokenizer has no {token}")
        return int(number)
