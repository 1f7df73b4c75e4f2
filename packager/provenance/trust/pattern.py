"""Patterns for identities and names: ``*`` is any text without a slash, ``**`` any text at all.

    matches("https://github.com/acme/*/.github/workflows/train.yml@refs/tags/**", identity)

Anchored at both ends, and in time proportional to the product of both lengths: patterns and names may be
hostile, so that regular expressions will not do.
"""

from __future__ import annotations

import re

_STARS = re.compile(r"(\*+)")


def matches(pattern: str, text: str) -> bool:
    """True if the whole text matches the pattern."""
    tokens = [
        token
        for part in _STARS.split(pattern)
        for token in ([part[:2]] if part.startswith("*") else part)
        if token
    ]
    places = _closure({0}, tokens)
    for character in text:
        moved = set()
        for place in places:
            token = tokens[place] if place < len(tokens) else None
            if token == "**" or (token == "*" and character != "/"):
                moved.add(place)
            elif token == character:
                moved.add(place + 1)
        places = _closure(moved, tokens)
        if not places:
            return False
    return len(tokens) in places


def _closure(places: set[int], tokens: list[str]) -> set[int]:
    """The places, and those behind stars that match nothing."""
    found = set(places)
    for place in places:
        while place < len(tokens) and tokens[place] in ("*", "**") and place + 1 not in found:
            place += 1
            found.add(place)
    return found
