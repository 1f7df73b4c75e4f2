"""A git repository at a commit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.jobs.data.sources.git_address import parse_git_address
from starfreight.recipe.data import Data

if TYPE_CHECKING:
    from starfreight.jobs.data.sources.git_commit import CommitSource

_PREFIX = "git:"


class GitKind:
    """``git:https://host/organisation/name``, ``git:git@host:path``, ``git:./directory``; with a revision."""

    has_repositories = False

    def claims(self, source: str, path: Path) -> bool:
        """Return true for the prefix ``git:``."""
        return source.startswith(_PREFIX)

    def check(self, data: Data, folder: Path) -> None:
        """Require a valid address and a commit.

        Raises:
            RecipeError: there is no commit, or the address cannot be used.
        """
        parse_git_address(data.source.removeprefix(_PREFIX), folder)
        if data.revision is None:
            raise RecipeError(
                "The git repository has no revision.",
                where="key data.revision",
                fix="add the commit to use (40 hex digits): a branch or tag can move",
            )

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        """Return the cached repository, fetching the commit unless it is there.

        Raises:
            RecipeError: the commit does not exist, or git is not installed.
            InputError: the repository does not exist or cannot be accessed.
            ServiceError: the server does not answer, or the disk is full.
        """
        from starfreight.jobs.data.sources.git_cache import fetch_commit

        address = parse_git_address(data.source.removeprefix(_PREFIX), folder)
        return fetch_commit(address, str(data.revision))

    def open(self, data: Data, path: Path) -> CommitSource:
        """Return the reader of the commit."""
        from starfreight.jobs.data.sources.git_commit import CommitSource

        return CommitSource(path, data)

    def is_remote(self, source: str) -> bool:
        """Return true."""
        return True

    def local_path(self, source: str) -> str | None:
        """Return nothing: the repository is read from the cache."""
        return None
