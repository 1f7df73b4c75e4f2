"""The opt-out list: repositories and contents to leave out, one per line.

# Comments and empty lines are ignored.
owner/name
https://github.com/owner/name
swh:1:cnt:94a9ed024d3859793618152ea559a168bbcbb5e2
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.jobs.data.filters.interface import Document

MAX_BYTES = 256 << 20
"""About five million lines."""

_SWHID = re.compile(r"swh:1:(cnt|rev):[0-9a-f]{40}")
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+]{1,15}://)?(?:[^/@\s]{1,100}@)?")
_REPOSITORY = re.compile(r"[^\s/][^\s]{0,500}")


class OptOutFilter:
    """Rejects the repositories, commits and contents on a list."""

    name = "opt_out"

    def __init__(self, path: Path) -> None:
        """Read the list at ``path``.

        Raises:
            InputError: the file cannot be read, is larger than 256 MiB, or has an invalid line.
        """
        self._swhids: set[str] = set()
        self._repositories: set[str] = set()
        try:
            lines = read_limited(path, MAX_BYTES, "opt-out list").decode("utf-8-sig").split("\n")
        except UnicodeDecodeError:
            raise InputError(
                "The opt-out list is not UTF-8 text.", where=str(path), fix="save it as UTF-8"
            ) from None
        for number, line in enumerate(lines, 1):
            entry = line.split(" #", 1)[0].strip()
            if entry and not entry.startswith("#"):
                self._add(entry, f"{path}, line {number}")

    def reject(self, document: Document) -> str | None:
        """Return what is on the list: the content, the commit or the repository."""
        sample = document.sample
        if document.swhid in self._swhids:
            return "its content"
        if sample.commit is not None and f"swh:1:rev:{sample.commit.lower()}" in self._swhids:
            return "its commit"
        if sample.repository is not None and not self._repositories.isdisjoint(_names(sample.repository)):
            return "its repository"
        return None

    def _add(self, entry: str, where: str) -> None:
        if entry.lower().startswith("swh:"):
            # Qualifiers (;origin=...) tell where a content was found; the same content is left out
            # everywhere.
            core = entry.lower().split(";", 1)[0]
            if not _SWHID.fullmatch(core):
                raise InputError(
                    "A SWHID of the opt-out list is neither a content nor a revision.",
                    where=where,
                    fix="write swh:1:cnt:<40 hex digits> for a file, swh:1:rev:<40 hex digits> for a commit",
                )
            self._swhids.add(core)
        elif _REPOSITORY.fullmatch(entry):
            self._repositories.add(_full_name(entry))
        else:
            raise InputError(
                "A line of the opt-out list is not a repository or a SWHID.",
                where=where,
                fix="write owner/name, the URL of a repository, or a SWHID; comments start with #",
            )


def _full_name(repository: str) -> str:
    """Return ``github.com/owner/name`` for any URL of a repository, and ``owner/name`` unchanged."""
    name = repository.strip().lower()
    address = _SCHEME.match(name)
    if address and address.end():
        name = name[address.end() :]
        host, colon, rest = name.partition(":")
        if colon and "/" not in host:  # git@github.com:owner/name, host:8443/owner/name
            port, slash, path = rest.partition("/")
            name = f"{host}/{path}" if port.isdigit() and slash else f"{host}/{rest}"
    return name.rstrip("/").removesuffix(".git").rstrip("/")


@lru_cache(maxsize=4096)
def _names(repository: str) -> frozenset[str]:
    """Return the names of a repository, with its host and without.

    One without a host may be GitHub's, GitLab's or Bitbucket's: datasets give only ``owner/name``.
    """
    full = _full_name(repository)
    host, slash, rest = full.partition("/")
    if slash and "." in host and "/" in rest:
        return frozenset((full, rest))
    hosts = ("github.com", "gitlab.com", "bitbucket.org") if slash else ()
    return frozenset((full, *(f"{host}/{full}" for host in hosts)))
