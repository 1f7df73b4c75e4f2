"""Passwords and keys without a known format: values that a line names a secret and that look random.

`detect-secrets` finds such lines by the name (keyword plugin) and by the value (entropy plugins). In 4,598
files of Python (the standard library with its tests, torch, numpy, click, requests; 88 MB) the first alone
finds 40 values in 12 files and the second 923 in 90. With the rules here one is left, a digest in a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from starfreight.secrets.detectors import Trigger, pieces
from starfreight.spans import Span

PASSWORD = "<PASSWORD>"
"""The replacement of a password, as in StarCoder's training data."""

_NAMES = ("passw", "pwd", "_pass", "secret", "token", "credential")
_KEYS = ("access", "account", "api", "auth", "client", "database", "db", "priv", "private", "service")
# The word may follow the value (`"..." == password`) or precede it at some distance. A pattern that starts
# with letters is found ten times as fast as an alternation, so each word has its own.
_TRIGGERS = tuple(
    Trigger(re.compile(pattern), before=128, after=256, in_lower_case=True)
    for pattern in (
        *_NAMES,
        "key(?:" + "|".join(f"(?<={name}key)|(?<={name}[_-]key)" for name in _KEYS) + ")",
    )
)


def passwords(text: str, lowered: str) -> Iterator[Span]:
    """Yield the values in a text that are named a password or a key and look like one."""
    found = {piece for trigger in _TRIGGERS for piece in pieces(text, lowered, trigger)}
    # Both plugins need quotes, and looks_random no blanks.
    quoted = sorted((start, end) for start, end in found if _QUOTED.search(text, start, end))
    if not quoted:
        return
    from detect_secrets.filters import heuristic

    keyword, entropy = _plugins()
    for start, end in quoted:
        piece = text[start:end]
        values = [(value, keyword) for value in keyword.analyze_string(piece) if looks_random(value, 8)]
        for plugin in entropy:
            values += [
                (value, plugin)
                for value in plugin.analyze_string(piece)
                if plugin.calculate_shannon_entropy(value) > plugin.entropy_limit and looks_random(value, 20)
            ]
        for value, plugin in values:
            at = text.find(value, start, end)
            if at < 0 or "example" in value.lower() or heuristic.is_sequential_string(value):
                continue
            if heuristic.is_potential_uuid(value) or heuristic.is_likely_id_string(value, piece):
                continue
            yield Span(at, at + len(value), plugin.secret_type, PASSWORD)


def looks_random(value: str, shortest: int) -> bool:
    """Return true if a value may be a password or a key, rather than a word, a sentence or a template."""
    return (
        len(value) >= shortest
        and len(set(value)) >= 5
        and any(character.isdigit() for character in value)
        and any(character.isalpha() for character in value)
        and not _NOT_IN_A_KEY.search(value)
    )


_QUOTED = re.compile(r"""["'`][^\s"']{8}""")
_NOT_IN_A_KEY = re.compile(r"[\s{}<>()\[\]]|\$\w|%[sd(]|\.\.\.")


@lru_cache(maxsize=1)
def _plugins() -> tuple[Any, tuple[Any, ...]]:
    from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString, HexHighEntropyString
    from detect_secrets.plugins.keyword import KeywordDetector

    return KeywordDetector(), (Base64HighEntropyString(4.5), HexHighEntropyString(3.0))
