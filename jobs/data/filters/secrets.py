"""Keys, tokens and passwords, found with `detect-secrets`. What is found is never quoted, only where it is.

Chosen for source code, in which the defaults of `detect-secrets` take many a harmless string for a key:

- the 22 plugins that know the shape of one service's key are all used (:mod:`.secret_detectors`);
- a password or a key of no known shape counts when its line calls it so and it looks like one
  (:mod:`.passwords`): the entropy plugins alone take every digest in a test for a key;
- a private key counts when a key follows its first line: programs that read keys hold that line, too;
- placeholders do not count: UUIDs, sequences, ``{templates}``, what says that it is an example.

Comments that tell `detect-secrets` to look away (``pragma: allowlist secret``) are not obeyed: that a key may
be in a repository does not mean that it may be in a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.passwords import PASSWORD, looks_made, passwords
from starfreight.jobs.data.filters.secret_detectors import TRIGGERS, lower_case, pieces, plugins
from starfreight.jobs.data.filters.spans import Span, disjoint, what_and_where

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

KEY = "<KEY>"
"""What StarCoder's training data has in place of a key (Li et al. 2023)."""

# With the letters first, which is quick; the dashes before them are added later.
_PRIVATE_KEYS = (
    re.compile(r"BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY"),
    re.compile(r"PuTTY-User-Key-File-[23]"),
)
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]{40}")
_KEY_END = re.compile(r"PRIVATE KEY(?: BLOCK)?-----|Private-MAC: [0-9a-f]+")
_KEY_HEAD = 400
"""A key's first full line starts at most this many characters after its heading."""
_LONGEST_KEY = 16384
_MOST_REPEATED = 64
"""The values of so many findings are looked for in the whole text, wherever else they stand."""


class SecretsFilter:
    """Leaves out a text that holds a key, a token or a password."""

    name = "secrets"

    def reject(self, document: Document) -> str | None:
        """The kind of the first, and its line."""
        return what_and_where(document.text, find_secrets(document.text))


def find_secrets(text: str) -> list[Span]:
    """Where the secrets of a text are, in order; spans do not overlap."""
    lowered = lower_case(text)
    found = list(_private_keys(text))
    for name, plugin in _plugins().items():
        for trigger in TRIGGERS[name]:
            for start, end in pieces(text, lowered, trigger):
                found += _in_piece(text, start, end, plugin)
    found += passwords(text, lowered)
    return disjoint([*found, *_repeated(text, found)])


def _in_piece(text: str, start: int, end: int, plugin: BasePlugin) -> Iterator[Span]:
    # Blanks in a row make some patterns slow, and the patterns know no line end but \n.
    piece = _BLANKS.sub(" " * 8, text[start:end])
    for value in values_in(piece, plugin):
        at = text.find(value, start, end)
        if at < 0 or is_placeholder(value):
            continue
        if plugin.secret_type in _NEEDS_A_LOOK and not looks_made(value, 6):
            continue
        mark = PASSWORD if plugin.secret_type == "Basic Auth Credentials" else KEY
        yield Span(at, at + len(value), plugin.secret_type, mark)


def values_in(piece: str, plugin: BasePlugin) -> Iterator[str]:
    """What a plugin finds in a piece of a text, in full."""
    if plugin.secret_type in _FOUND_BY_PREFIX:
        for pattern in plugin.denylist:
            for match in pattern.finditer(piece):
                yield match.group()
    else:
        yield from plugin.analyze_string(piece)


_FOUND_BY_PREFIX = frozenset({"GitHub Token", "GitLab Token"})
"""``analyze_string`` of these gives the first letters of a token alone: the group in their patterns."""
_BLANKS = re.compile(r"[ \t]{9,}")
_NEEDS_A_LOOK = frozenset({"Basic Auth Credentials", "Artifactory Credentials", "Cloudant Credentials"})


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret and is none."""
    from detect_secrets.filters import heuristic

    return (
        "example" in value.lower()
        or heuristic.is_not_alphanumeric_string(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_templated_secret(value)
        or heuristic.is_sequential_string(value)
        or len(set(value)) < 5
    )


def _private_keys(text: str) -> Iterator[Span]:
    for heading in _PRIVATE_KEYS:
        seen = 0
        for match in heading.finditer(text):
            if match.start() < seen:
                continue
            first = _KEY_LINE.search(text, match.end(), match.end() + _KEY_HEAD)
            if first is None or is_placeholder(first.group()):
                continue
            last = _KEY_END.search(text, first.end(), first.end() + _LONGEST_KEY)
            seen = last.end() if last else first.end()
            start = match.start() - 5 if text.endswith("-----", 0, match.start()) else match.start()
            yield Span(start, seen, "Private Key", KEY)


def _repeated(text: str, found: list[Span]) -> Iterator[Span]:
    """The same secrets where nothing else gives them away."""
    values = {text[span.start : span.end]: span for span in found}
    for value, span in list(values.items())[:_MOST_REPEATED]:
        at = text.find(value)
        while at >= 0 and len(value) >= 8:
            yield Span(at, at + len(value), span.kind, span.mark)
            at = text.find(value, at + len(value))


@lru_cache(maxsize=1)
def _plugins() -> dict[str, BasePlugin]:
    return plugins()
