"""Git repositories in the user's cache: each holds what one commit needs, under a name that says which."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.files import read_limited
from starfreight.jobs.data.sources.cache import cache_folder, made_once
from starfreight.jobs.data.sources.git_address import GitAddress
from starfreight.jobs.data.sources.git_command import last_words, run_git

_NAME_FILE = "description"
"""Git's own place for a bare repository's name."""

_PINNED = "refs/pinned/commit"
_NO_COMMIT = ("not our ref", "no such remote ref", "couldn't find remote ref")
_ONLY_WHOLE = ("unadvertised object", "dumb http", "does not support", "not valid")
_NO_ACCESS = (
    "not found", "does not appear to be a git repository", "Authentication failed", "could not read Username",
    "Permission denied", "Access denied", "error: 401", "error: 403", "error: 404", "dubious ownership",
)  # fmt: skip


def fetch_commit(address: GitAddress, commit: str) -> Path:
    """The bare repository that holds a commit, which is fetched when it is not there yet.

    Only the commit's own files are fetched where the server can do that, else all of its history. Git works
    the digest of each object out itself, so what is there is what the commit names.

    Args:
        address: the repository.
        commit: 40 hex digits.

    Raises:
        RecipeError: no such commit, or git is not installed.
        InputError: no such repository, or no access to it.
        ServiceError: the server does not answer, or the disk is full.
    """
    digest = hashlib.sha256(address.url.encode()).hexdigest()[:16]

    def make(repository: Path) -> None:
        _fetch(repository, address, commit)
        (repository / _NAME_FILE).write_text(address.name + "\n", encoding="utf-8")

    return made_once(cache_folder("git") / f"{digest}-{commit}.git", make)


def cached_name(repository: Path) -> str:
    """What a cached repository is called: ``organisation/name``.

    Raises:
        InputError: it is not one that :func:`fetch_commit` made.
    """
    return read_limited(repository / _NAME_FILE, 4096, "cached git repository").decode().strip()


def _fetch(repository: Path, address: GitAddress, commit: str) -> None:
    where = f"{address.name} at {commit}"
    code, said = run_git(
        repository, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", str(repository)
    )
    if code != 0:
        raise ServiceError(
            f"git could not make a repository: {last_words(said)}.",
            where=str(repository.parent),
            fix="check the folder's permissions and the free space",
        )
    fetch = ("fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    code, said = run_git(repository, *fetch, "--depth=1", "--", address.url, f"{commit}:{_PINNED}")
    if code != 0 and _is_about(said, _ONLY_WHOLE) and not _is_about(said, _NO_ACCESS):
        all_of_it = ("+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*")
        code, said = run_git(repository, *fetch, "--", address.url, *all_of_it)
    if code != 0 and not _is_about(said, _NO_COMMIT):
        if _is_about(said, _NO_ACCESS):
            raise InputError(
                f"There is no such git repository, or it is not shown to you: {last_words(said)}.",
                where=where,
                fix="check the address; for a private one set up git's credential helper or an ssh key, "
                "and try it with: git ls-remote",
            )
        raise ServiceError(
            f"The git repository could not be fetched: {last_words(said)}.",
            where=where,
            fix="check the network and the free space, then run the same command again",
        )
    code, said = run_git(repository, "cat-file", "-t", commit)
    if code != 0 or said.strip() != "commit":
        raise RecipeError(
            "The git repository has no such commit.",
            where=f"key data.revision, {where}",
            fix="write all 40 hex digits of one of its commits: git log -1 --format=%H",
        )


def _is_about(said: str, words: tuple[str, ...]) -> bool:
    return any(each in said for each in words)
