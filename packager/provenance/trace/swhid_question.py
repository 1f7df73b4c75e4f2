"""A Software Heritage identifier of a file or of a commit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starfreight.errors import InputError
from starfreight.packager.provenance.trace.interface import Match, Omission, Sample

_SWHID = re.compile(r"swh:1:(?P<kind>cnt|rev):(?P<hash>[0-9a-f]{40})(?:;.{0,2000})?", re.IGNORECASE)


@dataclass(frozen=True)
class SwhidQuestion:
    """A content or a revision.

    Attributes:
        subject: as the user named it.
        core: without qualifiers, in lower case.
        commit: of a revision, its 40 hex digits.
    """

    subject: str
    core: str
    commit: str | None

    kind = "swhid"
    facts: Mapping[str, Any] = field(default_factory=dict)
    limits = (
        "Compared with the identifier of each file as it was before conversion and before secrets and "
        "personal data were replaced; the text after replacement has no identifier in the record. Records of "
        "data sets have one only if they are a single text. A revision is compared with the commit of each "
        "sample. Samples left out are listed without identifiers."
    )

    @classmethod
    def ask(cls, value: str) -> SwhidQuestion:
        """Read an identifier.

        Raises:
            InputError: not one of a content or a revision.
        """
        found = _SWHID.fullmatch(value.strip())
        if found is None:
            raise InputError(
                "This is not the SWHID of a content or a revision.",
                where=f"--swhid {value[:200]!r}",
                fix="write swh:1:cnt:<40 hex digits> for a file, swh:1:rev:<40 hex digits> for a commit",
            )
        kind, digits = found["kind"].lower(), found["hash"].lower()
        return cls(value, f"swh:1:{kind}:{digits}", digits if kind == "rev" else None)

    def match(self, sample: Sample) -> Match | None:
        """See :meth:`Question.match`."""
        if self.commit is not None:
            same = sample.commit is not None and sample.commit.lower() == self.commit
            return Match("exact", "commit") if same else None
        return Match("exact", "contents") if sample.swhid == self.core else None

    def match_omission(self, omission: Omission) -> Match | None:
        """See :meth:`Question.match_omission`."""
        revision = (omission.source.revision or "").lower()
        return Match("exact", "commit") if self.commit is not None and revision == self.commit else None
