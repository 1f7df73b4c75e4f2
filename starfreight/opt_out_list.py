"""Opt-out lists: repositories and contents that must not be in training data, one per line.

# Comments and empty lines are ignored.
owner/name
https://github.com/owner/name
swh:1:cnt:94a9ed024d3859793618152ea559a168bbcbb5e2
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import open_regular

MAX_ENTRIES = 5_000_000
MAX_LINE = 4096
"""Bytes."""

_SWHID = re.compile(r"swh:1:(cnt|rev):[0-9a-f]{40}")
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+]{1,15}://)?(?:[^/@\s]{1,100}@)?")
_REPOSITORY = re.compile(r"[^\s/][^\s]{0,500}")


class OptOutList:
    """The repositories, commits and contents on a list.

    Raises:
        InputError: the file cannot be read, has more than five million entries, or an invalid line.
    """

    def __init__(self, path: Path) -> None:
        self._swhids: set[str] = set()
        self._repositories: set[str] = set()
        for number, line in _lines(path):
            entry = line.split(" #", 1)[0].strip()
            if entry and not entry.startswith("#"):
                self._add(entry, f"{path}, line {number}")
            if len(self._swhids) + len(self._repositories) > MAX_ENTRIES:
                raise InputError(
                    f"The opt-out list has more than {MAX_ENTRIES:,} entries.",
                    where=f"{path}, line {number}",
                    fix="keep the entries of the sources in this recipe",
                )

    def match(self, swhid: str | None, commit: str | None, repository: str | None) -> str | None:
        """Return what is on the list: the content, the commit or the repository."""
        if swhid in self._swhids:
            return "its content"
        if commit is not None and f"swh:1:rev:{commit.lower()}" in self._swhids:
            return "its commit"
        if repository is not None and not self._repositories.isdisjoint(repository_names(repository)):
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


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a list with their numbers; memory does not grow with the file."""
    try:
        with open_regular(path, "opt-out list") as stream:
            number = 0
            while data := stream.readline(MAX_LINE + 1):
                number += 1
                if len(data) > MAX_LINE:
                    raise InputError(
                        f"A line of the opt-out list is longer than {MAX_LINE:,} bytes.",
                        where=f"{path}, line {number}",
                        fix="write one repository or SWHID per line",
                    )
                yield number, data.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise InputError(
            "The opt-out list is not UTF-8 text.", where=str(path), fix="save it as UTF-8"
        ) from None
    except FileNotFoundError:
        raise InputError("The opt-out list does not exist.", where=str(path), fix="check the path") from None
    except OSError as error:
        raise InputError(
            f"The opt-out list cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="check the path and its permissions",
        ) from error


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
def repository_names(repository: str) -> frozenset[str]:
    """Return the names of a repository, with its host and without.

    One without a host may be GitHub's, GitLab's or Bitbucket's: datasets give only ``owner/name``.
    """
    full = _full_name(repository)
    host, slash, rest = full.partition("/")
    if slash and "." in host and "/" in rest:
        return frozenset((full, rest))
    hosts = ("github.com", "gitlab.com", "bitbucket.org") if slash else ()
    return frozenset((full, *(f"{host}/{full}" for host in hosts)))
