"""Minified code and data written as code, recognised by the rules of The Stack and StarCoder2.

The Stack (Kocetkov et al. 2022): a line of more than 1,000 characters, lines of more than 100 on average, or
less than a quarter letters and digits. StarCoder2 (Lozhkov et al. 2024): encoded data, few letters, and the
list of languages with long lines by nature. Its bound of a quarter letters also takes tests full of numbers.
"""

from __future__ import annotations

import re

from starfreight.jobs.data.filters.encoded_data import LONGEST_WORD, MOST_ENCODED, find_encoded, is_name
from starfreight.jobs.data.filters.file_filter import FileFilter
from starfreight.jobs.data.filters.interface import Document

LONGEST_LINE = 1000
LONGEST_AVERAGE = 100
LEAST_ALPHANUMERIC = 0.25
LEAST_LETTERS = 0.15
LEAST_BYTES = 1024
"""Shorter texts may have few letters."""
LONGEST_LINE_OF_PROSE = 100_000
LONGEST_BLOCK = 1024
MOST_LINES = 100_000

_PROSE = frozenset({
    "HTML", "JSON", "Jupyter Notebook", "Markdown", "Org Mode", "Roff", "SMT", "TeX", "Text", "XML",
    "reStructuredText",
})  # fmt: skip
_LANGUAGES_OF_NUMBERS = frozenset({
    "APL", "Assembly", "Befunge", "Brainfuck", "G-code", "J", "K", "Redcode", "TAP", "WebAssembly", "g-code",
})  # fmt: skip
"""Languages written with few letters."""
# Each starts with a letter or a newline of its own, which is quick to find.
_BASE64_LINE = re.compile(r"\n[ \t\"']{0,200}[A-Za-z0-9+/=]{60}")
_BASE64 = re.compile(r"(?:\n[ \t\"']{0,200}[A-Za-z0-9+/=]{60,}+[ \t\"',\\]{0,8}\r?(?=\n)){16,}")
_BASE64_COLUMNS = 60
_HEX = tuple(
    re.compile(rf"{start}[0-9a-fA-F]{{2}}(?:[,; \t\r\n\"]{{0,16}}{start}[0-9a-fA-F]{{2}}){{255}}")
    for start in ("0x", r"\\x")
)
_NOT_LETTERS = bytes(code for code in range(0x80) if not chr(code).isalpha())
_NOT_ALPHANUMERIC = bytes(code for code in range(0x80) if not chr(code).isalnum())


class MinifiedFilter(FileFilter):
    """Rejects minified files. Records pass: an answer may be one long line."""

    name = "minified"
    file_names = re.compile(
        r".{0,200}[.-]min\.(?:js|mjs|cjs|css|html)|.{0,200}\.(?:map|bundle\.js|chunk\.js)"
    )

    def reject_text(self, document: Document) -> str | None:
        """Return the rule broken by the text."""
        return _broken_rule(document.text, document.language)


def _broken_rule(text: str, language: str | None) -> str | None:
    prose = language in _PROSE
    lines = text.split("\n")
    longest = max(map(len, lines))
    if longest > (LONGEST_LINE_OF_PROSE if prose else LONGEST_LINE):
        return f"long line ({longest:,} characters)"
    if len(lines) > MOST_LINES:
        return f"many lines ({len(lines):,})"
    average = (len(text) + 1) / len(lines) - 1
    if average > LONGEST_AVERAGE and not prose:
        return f"long lines ({average:.0f} characters on average)"
    data = text.encode("utf-8", "surrogatepass")
    letters = len(data.translate(None, _NOT_LETTERS)) / max(1, len(data))
    if letters < LEAST_ALPHANUMERIC:
        share = len(data.translate(None, _NOT_ALPHANUMERIC)) / max(1, len(data))
        if share < LEAST_ALPHANUMERIC:
            return f"few letters and digits ({share:.0%} of the text)"
        if letters < LEAST_LETTERS and len(data) >= LEAST_BYTES and language not in _LANGUAGES_OF_NUMBERS:
            return f"few letters ({letters:.0%} of the text)"
    encoded = find_encoded(data)
    if encoded.longest_run >= _BASE64_COLUMNS and _has_base64(text):
        return "block of base64"
    if any(block.search(text) for block in _HEX):
        return "block of hexadecimal numbers"
    if encoded.longest > LONGEST_WORD:
        return f"encoded data (a word of {encoded.longest:,} characters)"
    return f"encoded data ({encoded.share:.0%} of the tokens)" if encoded.share > MOST_ENCODED else None


def _has_base64(text: str) -> bool:
    seen = 0
    for line in _BASE64_LINE.finditer(text):
        if line.start() >= seen and (block := _BASE64.match(text, line.start())):
            if block.end() - block.start() > LONGEST_BLOCK and not is_name(block[0].encode()):
                return True
            seen = block.end()
    return False
