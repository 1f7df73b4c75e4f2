"""The other files of repositories, for context: read when they are first needed, up to a total size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from starfreight.completion.repository_files import LARGEST

_MOST_CHARACTERS = 256 << 20
_MOST_FILES = 5_000
"""Files of a repository, as many as editors read."""

Surrounding = tuple[str, str, str]
"""Repository, path and text of a file."""


class Surroundings:
    """Files by their repository.

    Args:
        read: yields all files that may be read.
        repositories: those that are needed.
    """

    def __init__(self, read: Callable[[], Iterable[Surrounding]], repositories: Iterable[str]) -> None:
        self._read = read
        self._wanted = frozenset(repositories)
        self._found: dict[str, dict[str, str]] | None = None

    def of(self, repository: str) -> Sequence[tuple[str, str]]:
        """Path and text of each file of a repository; larger files than editors send are left out."""
        if self._found is None:
            self._found = self._all()
        return tuple(self._found.get(repository, {}).items())

    def _all(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        left = _MOST_CHARACTERS
        for repository, path, text in self._read():
            if repository in self._wanted and text.strip() and len(text) <= min(left, LARGEST):
                files = found.setdefault(repository, {})
                if len(files) < _MOST_FILES and path not in files:
                    files[path] = text
                    left -= len(text)
        return found
