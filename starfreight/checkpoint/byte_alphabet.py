"""GPT-2's alphabet: the character that stands for each byte in a byte-level vocabulary.

Printable bytes stand for themselves, and the others, in their order, for the characters from U+0100 on
(Radford et al. 2019, ``bytes_to_unicode``).
"""

from __future__ import annotations

from collections.abc import Container

_PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}

_NOT_IN_TEXT = {0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100)}
"""Bytes that UTF-8 never has, and those that begin characters of Unicode's empty planes 4 to 11."""


def byte_alphabet() -> tuple[str, ...]:
    """The character of each byte."""
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in _PRINTABLE else next(others)) for byte in range(256))


def missing_byte(vocabulary: Container[str]) -> int | None:
    """The first byte of text in UTF-8 without a token of its own; ``None`` if all have one.

    StarCoder's vocabulary has no tokens for the bytes that no text contains.
    """
    for byte, text in enumerate(byte_alphabet()):
        if text not in vocabulary and byte not in _NOT_IN_TEXT:
            return byte
    return None
