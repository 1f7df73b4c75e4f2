"""Keys, tokens and passwords, found with `detect-secrets`. Findings give the position, never the value.

The rules are chosen for source code, where the defaults of `detect-secrets` have many false positives:

- all 22 plugins for the key format of one service are used (:mod:`.detectors`);
- a password or a key without a known format counts if its line names it so and it looks like one
  (:mod:`.passwords`): the entropy plugins alone match every digest in a test;
- a private key counts if a key follows its first line: programs that read keys contain that line, too;
- placeholders do not count: UUIDs, sequences, ``{templates}``, values with "example" in them.

The comment ``pragma: allowlist secret`` is ignored: it permits a key in a repository, not in a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from starfreight.secrets.detectors import TRIGGERS, lower_case, pieces, plugins
from starfreight.secrets.passwords import PASSWORD, looks_random, passwords
from starfreight.secrets.prefixed import prefixed_tokens
from starfreight.spans import Span, disjoint

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

KEY = "<KEY>"
"""The replacement of a key, as in StarCoder's training data (Li et al. 2023)."""

# Starting with letters, which is quick; the dashes before them are added later.
_PRIVATE_KEYS = (
    re.compile(r"BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY"),
    re.compile(r"PuTTY-User-Key-File-[23]"),
)
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]{40}")
_KEY_END = re.compile(r"PRIVATE KEY(?: BLOCK)?-----|Private-MAC: [0-9a-f]+")
_KEY_HEAD = 400
"""The first full line of a key starts at most this many characters after its heading."""
_LONGEST_KEY = 16384
_MOST_REPEATED = 64
"""Findings whose values are searched for in the whole text."""


def find_secrets(text: str) -> list[Span]:
    """Return the secrets in a text as disjoint spans, in order."""
    lowered = lower_case(text)
    found = list(_private_keys(text))
    for name in sorted(TRIGGERS):
        for trigger in TRIGGERS[name]:
            for start, end in pieces(text, lowered, trigger):
                # Here, so that a text without triggers needs no import of detect-secrets.
                found += _in_piece(text, start, end, _plugins()[name])
    for start, end, kind in prefixed_tokens(text):
        if not is_placeholder(text[start:end]):
            found.append(Span(start, end, kind, KEY))
    found += passwords(text, lowered)
    return disjoint([*found, *_repeated(text, found)])


def _in_piece(text: str, start: int, end: int, plugin: BasePlugin) -> Iterator[Span]:
    # Long runs of blanks make some patterns slow.
    piece = _BLANKS.sub(" " * 8, text[start:end])
    for value in values_in(piece, plugin):
        at = text.find(value, start, end)
        if at < 0 or is_placeholder(value):
            continue
        if plugin.secret_type in _NEEDS_RANDOM_VALUE and not looks_random(value, 6):
            continue
        mark = PASSWORD if plugin.secret_type == "Basic Auth Credentials" else KEY
        yield Span(at, at + len(value), plugin.secret_type, mark)


def values_in(piece: str, plugin: BasePlugin) -> Iterator[str]:
    """Yield the full values that a plugin finds in a piece of a text."""
    if plugin.secret_type in _FOUND_BY_PREFIX:
        for pattern in plugin.denylist:
            for match in pattern.finditer(piece):
                yield match.group()
    else:
        yield from plugin.analyze_string(piece)


_FOUND_BY_PREFIX = frozenset({"GitHub Token", "GitLab Token"})
"""Their ``analyze_string`` returns only the prefix of a token: the group in their patterns."""
_BLANKS = re.compile(r"[ \t]{9,}")
_NEEDS_RANDOM_VALUE = frozenset({"Basic Auth Credentials", "Artifactory Credentials", "Cloudant Credentials"})


def is_placeholder(value: str) -> bool:
    """Return true if a value is a placeholder rather than a secret."""
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
    """Yield further occurrences of the same secrets, which no trigger is near."""
    values = {text[span.start : span.end]: span for span in found}
    for value, span in list(values.items())[:_MOST_REPEATED]:
        at = text.find(value)
        while at >= 0 and len(value) >= 8:
            yield Span(at, at + len(value), span.kind, span.mark)
            at = text.find(value, at + len(value))


@lru_cache(maxsize=1)
def _plugins() -> dict[str, BasePlugin]:
    return plugins()
