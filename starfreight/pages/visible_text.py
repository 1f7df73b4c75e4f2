"""Untrusted text for people: nothing in it is hidden, or hides what stands beside it."""

from __future__ import annotations

import re

_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters, those that change the direction of writing, and those without a width, tags too."""


def visible(text: str) -> str:
    r"""Return a text with invisible and control characters escaped, as ``\u202e``."""
    return _NOT_SHOWN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def shortened(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, with an ellipsis in the middle if it is longer."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"
