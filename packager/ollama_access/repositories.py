"""Names of repositories, and patterns of them such as ``team/*``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starfreight.errors import InputError

PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
"""A part of a repository's name, as the OCI distribution specification has it. For PCRE and Python alike."""
REPOSITORY = rf"{PART}(?:/{PART})*"

_LONGEST = 255
_REPOSITORY = re.compile(REPOSITORY)
_PATTERN_PART = re.compile(r"[a-z0-9*](?:[a-z0-9._*-]*[a-z0-9*])?")


def is_repository(name: str) -> bool:
    """True for a valid name of a repository of at most 255 characters."""
    return len(name) <= _LONGEST and _REPOSITORY.fullmatch(name) is not None


@dataclass(frozen=True)
class RepositoryPattern:
    """A repository's name in which ``*`` stands for any characters of one part.

    ``team/*`` matches ``team/coder`` but not ``team/lab/coder``. A last part ``**`` matches any depth.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> RepositoryPattern:
        """Check and wrap a pattern.

        Raises:
            InputError: not a repository's name with ``*``.
        """
        parts = text.split("/")
        bad = [
            part
            for number, part in enumerate(parts)
            if not _PATTERN_PART.fullmatch(part)
            or ("**" in part and not (part == "**" and number == len(parts) - 1))
            or part.count("*") > 4
        ]
        if bad or len(text) > _LONGEST:
            raise InputError(
                f"{text[:80]!r} is not a pattern of repositories.",
                fix="write lower-case names in which * stands for any part, such as team/* or team/coder",
            )
        return cls(text)

    @property
    def regex(self) -> str:
        """A regular expression for PCRE and Python, without groups or anchors.

        It admits more than valid names: combine it with :data:`REPOSITORY`.
        """
        parts = []
        for part in self.text.split("/"):
            if part == "**":
                parts.append(r"[a-z0-9._/-]+")
            elif part == "*":
                parts.append(r"[a-z0-9._-]+")
            else:
                parts.append("[a-z0-9._-]*".join(re.escape(piece) for piece in part.split("*")))
        return "/".join(parts)

    def matches(self, repository: str) -> bool:
        """True if the name is valid and of this form."""
        return is_repository(repository) and re.fullmatch(self.regex, repository) is not None
