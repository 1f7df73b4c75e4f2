"""Put values into Markdown as text: they open no link, no HTML, no code and no block.

A run's record may come from somebody else, and the card is published under the name of whoever builds the
package. Usual names, licenses and addresses stay as they are.
"""

from __future__ import annotations

import re

_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
"""Characters that reorder a line or take no room in it."""

_SPECIAL = re.compile(r"[\\`*\[\]<>|]|&(?=#?\w+;)|:(?=//)|(?<=www)\.", re.IGNORECASE | re.ASCII)
_BLOCK = re.compile(r"([#+=~-]|\d+(?=[.)](\s|$)))")
_ADDRESS = re.compile(r"<[\w.+-]+@[\w-]+(\.[\w-]+)+>")
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f\\`*\[\]<>|\"]+", re.IGNORECASE)


def inline(value: object) -> str:
    """The value as text of one line, or of a cell of a table."""
    return _no_block(_SPECIAL.sub(r"\\\g<0>", one_line(value)))


def person(value: object) -> str:
    """A name, perhaps with an address: ``Acme <code@acme.example>``."""
    line = one_line(value)
    found = _ADDRESS.search(line)
    if found is None:
        return inline(line)
    before, after = line[: found.start()], line[found.end() :]
    return _no_block(_SPECIAL.sub(r"\\\g<0>", before) + found[0] + _SPECIAL.sub(r"\\\g<0>", after))


def link(value: object) -> str:
    """The address of a page, as it is; anything else as a person."""
    line = one_line(value)
    return line if _URL.fullmatch(line) else person(line)


def code(value: object) -> str:
    """The value for a code span, between backticks of the template."""
    return one_line(value).replace("`", "'")


def _no_block(text: str) -> str:
    """Text whose first characters begin no heading, list, fence or rule."""
    found = _BLOCK.match(text)
    if found is None:
        return text
    return f"{found[0]}\\{text[found.end() :]}" if found[0].isdigit() else "\\" + text


def one_line(value: object) -> str:
    """The value on one line, without control and invisible characters; Markdown stays."""
    return _SPACE.sub(" ", _INVISIBLE.sub("", str(value))).strip()
