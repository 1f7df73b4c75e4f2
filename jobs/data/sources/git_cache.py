"""Git repositories in the user's cache: one per address and commit, with the objects of that commit."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.files import read_limited
from starfreight.jobs.data.sources.git_address import GitAddress
from starfreight.jobs.data.sources.git_command import last_error, run_git
from starfreight.user_cache import cache_folder, made_once

_NAME_FILE = "description"
"""The file in which git keeps the name of a bare repository."""

_PINNED = "refs/pinned/commit"
_NO_COMMIT = ("not our ref", "no such remote ref", "couldn't find remote ref")
_ONLY_WHOLE = ("unadvertised object", "dumb http", "does not support", "not valid")
_NO_ACCESS = (
    "not found", "does not appear to be a git repository", "Authentication failed", "could not read Username",
    "Permission denied", "Access denied", "error: 401", "error: 403", "error: 404", "dubious ownership",
)  # fmt: skip


def fetch_commit(address: GitAddress, commit: str) -> Path:
    """Return the bare repository of a commit, fetching it unless it is in the cache.

    Only the commit is fetched if the server supports that, otherwise the whole history. Git computes the
    digest of each object itself, so the cached files are those of the commit.

    Args:
        address: the repository.
        commit: 40 hex digits.

    Raises:
        RecipeError: the commit does not exist, or git is not installed.
        InputError: the repository does not exist or cannot be accessed.
        ServiceError: the server does not answer, or the disk is full.
    """

    def make(repository: Path) -> None:
        _fetch(repository, address, commit)
        (repository / _NAME_FILE).write_text(address.name + "\n", encoding="utf-8")

    return made_once(commit_folder(address, commit), make)


def commit_folder(address: GitAddress, commit: str) -> Path:
    """Return the place of a commit's repository in the cache; it exists once the commit was fetched."""
    digest = hashlib.sha256(address.url.encode()).hexdigest()[:16]
    return cache_folder("git") / f"{digest}-{commit}.git"


def cached_name(repository: Path) -> str:
    """Return the name of a cached repository: ``organisation/name``.

    Raises:
        InputError: it was not created by :func:`fetch_commit`.
    """
    return read_limited(repository / _NAME_FILE, 4096, "cached git repository").decode().strip()


def _fetch(repository: Path, address: GitAddress, commit: str) -> None:
    where = f"{address.name} at {commit}"
    code, output = run_git(
        repository, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", str(repository)
    )
    if code != 0:
        raise ServiceError(
            f"git could not create a repository: {last_error(output)}.",
            where=str(repository.parent),
            fix="check the permissions of the directory and the free space",
        )
    fetch = ("fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    code, output = run_git(repository, *fetch, "--depth=1", "--", address.url, f"{commit}:{_PINNED}")
    if code != 0 and _mentions(output, _ONLY_WHOLE) and not _mentions(output, _NO_ACCESS):
        everything = ("+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*")
        code, output = run_git(repository, *fetch, "--", address.url, *everything)
    if code != 0 and not _mentions(output, _NO_COMMIT):
        if _mentions(output, _NO_ACCESS):
            raise InputError(
                f"The git repository does not exist or cannot be accessed: {last_error(output)}.",
                where=where,
                fix="check the address; for a private one set up git's credential helper or an ssh key, "
                "and test it with: git ls-remote",
            )
        raise ServiceError(
            f"The git repository could not be fetched: {last_error(output)}.",
            where=where,
            fix="check the network and the free space, then run the same command again",
        )
    code, output = run_git(repository, "cat-file", "-t", commit)
    if code != 0 or output.strip() != "commit":
        raise RecipeError(
            "The git repository does not have this commit.",
            where=f"key data.revision, {where}",
            fix="write all 40 hex digits of one of its commits: git log -1 --format=%H",
        )


def _mentions(output: str, words: tuple[str, ...]) -> bool:
    return any(each in output for each in words)
