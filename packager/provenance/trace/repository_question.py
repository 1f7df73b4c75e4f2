"""A repository, by its name or its address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starfreight.errors import InputError
from starfreight.packager.provenance.trace.interface import Match, Omission, Sample, Source

_LONGEST = 2000
_SCP = re.compile(r"(?:[^/@\s:]{1,100}@)?(?P<host>[A-Za-z0-9.-]{1,253}):(?P<path>[^/\s:][^\s:]*)")
_KINDS = ("git:", "dataset:", "python:", "oci:")


@dataclass(frozen=True)
class RepositoryName:
    """The parts of a name that count: ``GitHub.com/Acme/App.git`` is ``github.com`` and ``acme/app``.

    Attributes:
        host: ``None`` if the name has none.
        path: owner and name, or only the name.
    """

    host: str | None
    path: str

    def match(self, other: RepositoryName, by: str) -> Match | None:
        """Compare the parts that both names have.

        Args:
            other: a name in the data.
            by: the property of the sample that it is.
        """
        if self.host is not None and other.host is not None and self.host != other.host:
            return None
        if ("/" in self.path) == ("/" in other.path):
            return Match("exact", by) if self.path == other.path else None
        if self.path.rpartition("/")[2] == other.path.rpartition("/")[2]:
            return Match("exact", f"{by}'s name, without an owner")
        return None


def repository_name(text: str) -> RepositoryName | None:
    """Read a name or an address; ``None`` if there is no name in it."""
    # Checked before the cache, which would keep long texts.
    return None if len(text) > _LONGEST else _repository_name(text.strip())


@lru_cache(maxsize=4096)
def _repository_name(text: str) -> RepositoryName | None:
    host: str | None = None
    path = text
    if "://" in text:
        try:
            parts = urlsplit(text)
            host, path = parts.hostname, parts.path
        except ValueError:
            return None
    elif scp := _SCP.fullmatch(text):
        host, path = scp["host"].lower(), scp["path"]
    else:
        first, _, rest = text.partition("/")
        if rest.count("/") >= 1 and "." in first:
            host, path = first.lower(), rest
    path = path.strip("/").removesuffix(".git").strip("/").casefold()
    return RepositoryName(host, path) if path else None


@lru_cache(maxsize=64)
def source_name(source: Source) -> RepositoryName | None:
    """The repository that a whole source is."""
    name = source.name
    for kind in _KINDS:
        name = name.removeprefix(kind)
    return repository_name(name.partition("@sha256:")[0])


@dataclass(frozen=True)
class RepositoryQuestion:
    """A repository.

    Attributes:
        subject: as the user named it.
        name: the parts that count.
    """

    subject: str
    name: RepositoryName

    kind = "repository"
    facts: Mapping[str, Any] = field(default_factory=dict)
    limits = (
        "Compared by the repository's name in the data, without regard to case; host and owner count where "
        "both are known. Forks and copies under other names are not found. Samples left out are listed "
        "without their repository: they count if the whole source is the repository, or their path begins "
        "with its name."
    )

    @classmethod
    def ask(cls, value: str) -> RepositoryQuestion:
        """Read a name.

        Raises:
            InputError: there is none in it.
        """
        name = repository_name(value)
        if name is None:
            raise InputError(
                "This is not the name of a repository.",
                where=f"--repository {value[:200]!r}",
                fix="write OWNER/NAME, or an address such as https://github.com/OWNER/NAME",
            )
        return cls(value, name)

    def match(self, sample: Sample) -> Match | None:
        """See :meth:`Question.match`."""
        if sample.repository is not None:
            named = repository_name(sample.repository)
            found = self.name.match(named, "repository") if named is not None else None
            if found is not None:
                return found
        return self._match_source(sample.source)

    def match_omission(self, omission: Omission) -> Match | None:
        """See :meth:`Question.match_omission`."""
        if omission.name.casefold().startswith(self.name.path + "/"):
            return Match("exact", "path")
        return self._match_source(omission.source)

    def _match_source(self, source: Source) -> Match | None:
        named = source_name(source)
        return self.name.match(named, "source") if named is not None else None
