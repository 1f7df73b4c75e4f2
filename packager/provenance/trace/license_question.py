"""A license, by its SPDX identifier."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from starfreight.errors import InputError
from starfreight.packager.provenance.trace.interface import Match, Omission, Sample

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,199}")
_LONGEST = 2000
_OPERATORS = frozenset(("and", "or", "with"))
_UNKNOWN = frozenset(("noassertion", "unknown"))


@lru_cache(maxsize=4096)
def _identifiers(expression: str) -> frozenset[str]:
    found = (each.lower() for each in _IDENTIFIER.findall(expression))
    return frozenset(each for each in found if each not in _OPERATORS)


@dataclass(frozen=True)
class LicenseQuestion:
    """A license.

    Attributes:
        subject: as the user named it.
    """

    subject: str

    kind = "license"
    facts: Mapping[str, Any] = field(default_factory=dict)
    limits = (
        "Compared with the license recorded for each sample; an expression such as MIT OR Apache-2.0 counts "
        "for both. The recorded license is the file's own, otherwise its repository's, otherwise the "
        "recipe's. NOASSERTION asks for samples without a known license."
    )

    @classmethod
    def ask(cls, value: str) -> LicenseQuestion:
        """Read an identifier.

        Raises:
            InputError: not an SPDX identifier.
        """
        value = value.strip()
        if not _IDENTIFIER.fullmatch(value) or value.lower() in _OPERATORS:
            raise InputError(
                "This is not an SPDX license identifier.",
                where=f"--license {value[:200]!r}",
                fix="write one such as MIT, GPL-3.0-only or NOASSERTION; repeat the option for several",
            )
        return cls(value)

    def match(self, sample: Sample) -> Match | None:
        """See :meth:`Question.match`."""
        return Match("exact", "license") if self._is_in(sample.license) else None

    def match_omission(self, omission: Omission) -> Match | None:
        """See :meth:`Question.match_omission`."""
        if omission.filter != "license":
            return None
        unknown = omission.detail.startswith("license unknown")
        return Match("exact", "license") if self._is_in(None if unknown else omission.detail) else None

    def _is_in(self, expression: str | None) -> bool:
        asked = self.subject.lower()
        if expression is None or expression.lower() in _UNKNOWN:
            return asked in _UNKNOWN
        return len(expression) <= _LONGEST and asked in _identifiers(expression)
