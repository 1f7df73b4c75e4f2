"""Personal data with a recognisable form: e-mail addresses and public IP addresses.

Names have no such form, and in code nearly all numbers that look like telephone numbers are not, so both are
left alone, as in StarCoder's training data. For keys and passwords see :mod:`.secrets`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.ip_addresses import find_addresses
from starfreight.spans import Span, disjoint, first_kind_and_line

EMAIL = "<EMAIL>"
"""The replacement of an e-mail address, as in StarCoder's training data (Li et al. 2023)."""

# Letters of ASCII and of other scripts by code point: \w changes with Python's version of Unicode.
_LETTER = "A-Za-z\u00c0-\u1fff\u2c00-\u2dff\u3040-\u9fff\uac00-\ud7af"
_DOMAIN = re.compile(
    rf"@((?:[{_LETTER}0-9-]{{1,63}}\.){{1,6}}([{_LETTER}]{{2,24}}))(?![{_LETTER}0-9_(\[@]|\.[{_LETTER}])"
)
_LOCAL = re.compile(rf"[{_LETTER}0-9_.%+'-]+\Z")
_LONGEST_LOCAL = 64

_NOBODY = frozenset({"git", "hg", "svn", "noreply", "no-reply", "donotreply", "do-not-reply", "nobody"})
_NOWHERE = frozenset({"example", "test", "invalid", "localhost", "localdomain"})
_EXAMPLE_DOMAINS = frozenset(
    {"example.com", "example.net", "example.org", "example.edu", "users.noreply.github.com"}
)
# The part after the last dot in `matrix@self.weight`, in `left@right.T.shape` and in file names.
_NO_DOMAIN = frozenset({
    "contiguous", "data", "detach", "dtype", "grad", "item", "jit", "mean", "ndim", "pkl", "py", "self",
    "shape", "size", "sum", "transpose", "txt", "value", "values", "view", "weight", "weights",
})  # fmt: skip


class PersonalDataFilter:
    """Rejects texts with an e-mail address or a public IP address."""

    name = "personal_data"

    def reject(self, document: Document) -> str | None:
        """Return the kind and the line of the first one."""
        return first_kind_and_line(document.text, find_personal_data(document.text))


def find_personal_data(text: str) -> list[Span]:
    """Return the personal data in a text as disjoint spans, in order."""
    return disjoint([*_emails(text), *find_addresses(text)])


def _emails(text: str) -> Iterator[Span]:
    for match in _DOMAIN.finditer(text):
        at = match.start()
        local = _LOCAL.search(text, max(0, at - _LONGEST_LOCAL), at)
        if local is None:
            continue
        name = local.group().lstrip("'.-+%")
        if name and not _is_nobody(name.lower(), match.group(1).lower()):
            yield Span(at - len(name), match.end(), "e-mail address", EMAIL)


def _is_nobody(local: str, domain: str) -> bool:
    labels = domain.split(".")
    return (
        local in _NOBODY
        or domain in _EXAMPLE_DOMAINS
        or ".".join(labels[-2:]) in _EXAMPLE_DOMAINS
        or labels[-1] in _NOWHERE
        or labels[-1] in _NO_DOMAIN
        or labels[0] == "self"
    )
