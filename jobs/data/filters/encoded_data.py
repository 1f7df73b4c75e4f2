"""Encoded data in a text, measured by the tokens that it takes.

    find_encoded(data).share  # 0.97 for a certificate, 0.0 for most files

StarCoder2 (Lozhkov et al. 2024, section 2.4) removes a file if a run of Base64, hexadecimal numbers or
Unicode escapes has more than 1,024 characters, or if such runs are more than half of the file. Half of the
characters is two thirds of the tokens, because tokenizers have learnt words: here it is half of the tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_WORD = 1024
"""Bytes of encoded data without a break."""
LEAST_BYTES = 1024
"""Encoded data of fewer bytes in total is a constant in a program: a key, a digest, an icon."""
MOST_ENCODED = 0.5
"""Share of the tokens."""

_BYTES_PER_TOKEN = 3.2
_ENCODED_BYTES_PER_TOKEN = 1.4
"""Large vocabularies; that of the starter, which is small, takes 2.9 of code and 1.1 of Base64."""
_WORD = b"a" * 24
"""The shortest run of letters and digits to look at. Hardly a name is this long and has digits."""
_CERTAIN = 64
"""Bytes of a run of letters and digits that is no name in any language."""

_IN_WORD = b"+/="
_SHAPE = bytes(97 if (code < 0x80 and chr(code).isalnum()) or code in _IN_WORD else 32 for code in range(256))
_LETTERS_AND_DIGITS = bytes(code for code in range(0x80) if chr(code).isalnum())
_LETTERS = bytes(code for code in range(0x80) if chr(code).isalpha())
_UPPER, _LOWER = re.compile(rb"[A-Z]"), re.compile(rb"[a-z]+")
_BINARY = re.compile(rb"0?[bB][01]{1,128}")
_SYLLABLE = 2.5
"""Mean length of the runs of small letters: 3 or more in names, 1.7 in Base64 (2.5 in 1% of lines of 64)."""
_HEX = re.compile(rb"(?=[0-9]*[a-fA-F])(?:[0-9a-f]+|[0-9A-F]+)")
_BETWEEN = r"[,;: \t\r\n\"']{0,16}"
# Each starts with bytes of its own, which are quick to find.
_ESCAPES = tuple(
    re.compile(f"{start}{number}(?:{_BETWEEN}{start}{number}){{7,}}".encode())
    for start, number in (
        ("0x", "[0-9a-fA-F]{1,8}[uUlL]{0,3}"),
        (r"\\x", "[0-9a-fA-F]{2}"),
        (r"\\u", r"(?:[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\})"),
    )
)


@dataclass(frozen=True)
class EncodedData:
    """The encoded data of a text.

    Attributes:
        share: of the tokens; 0 for a constant in a program.
        longest: bytes of the longest encoded word.
        longest_run: bytes of the longest run of the alphabet of Base64, also of a path or a name.
    """

    share: float
    longest: int
    longest_run: int


def find_encoded(data: bytes) -> EncodedData:
    """Measure the encoded data of a text in UTF-8."""
    shape = data.translate(_SHAPE)
    total = longest = longest_run = end = 0
    while (start := shape.find(_WORD, end)) >= 0:
        end = shape.find(b" ", start)
        end = len(shape) if end < 0 else end
        longest_run = max(longest_run, end - start)
        if _is_encoded(data[start:end]):
            total += end - start
            longest = max(longest, end - start)
    total += sum(found.end() - found.start() for each in _ESCAPES for found in each.finditer(data))
    share = 0.0
    if total >= LEAST_BYTES:
        tokens = total / _ENCODED_BYTES_PER_TOKEN
        share = tokens / (tokens + (len(data) - total) / _BYTES_PER_TOKEN)
    return EncodedData(share, longest, longest_run)


def _is_encoded(word: bytes) -> bool:
    marks = len(word.translate(None, _LETTERS_AND_DIGITS))
    if marks > 0.1 * len(word):  # A path, or a line of equals signs.
        return False
    digits = len(word.translate(None, _LETTERS)) - marks
    if digits and _HEX.fullmatch(word):
        return _BINARY.fullmatch(word) is None
    if is_name(word):
        return False
    mixed = _UPPER.search(word) is not None and _LOWER.search(word) is not None
    return len(word) >= _CERTAIN or (digits >= 2 and mixed)


def is_name(data: bytes) -> bool:
    """Return true for names and paths: SeamlessM4Tv2PreTrainedModel, com/example/shop.

    Args:
        data: a word, or lines of words.
    """
    if _UPPER.search(data) is None:
        return b"/" in data and max(map(len, data.split(b"/"))) < _CERTAIN
    runs = _LOWER.findall(data)
    return bool(runs) and sum(map(len, runs)) >= _SYLLABLE * len(runs)
