"""The commit of the repository that a recipe is in."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from starfreight.git_uri import git_uri
from starfreight.jobs.data.sources.git_command import git_environment
from starfreight.origin import RecipeSource

_PATIENCE = 30
"""Seconds for one command. A status of the largest repositories takes a few."""
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_RECIPES = (":(glob)*.yaml", ":(glob)*.yml", ":(glob)*.json")
_HARDENED = (
    "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false",
    "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "submodule.recurse=false",
)  # fmt: skip


def find_recipe_source(folder: Path) -> RecipeSource | None:
    """The commit of a recipe's directory.

    Args:
        folder: the directory.

    Returns:
        ``None`` outside a repository, in one without a commit, for a directory without a committed file, and
        without git. The commit counts as changed if a committed file of the repository differs, or a recipe
        in the directory is not committed.
    """
    commit = (_git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") or "").strip()
    if not _COMMIT.fullmatch(commit) or not _git(folder, "ls-tree", "--name-only", "HEAD", "./"):
        return None
    status = _git(folder, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
    recipes = _git(folder, "ls-files", "--others", "--", *_RECIPES)
    dirty = None if status is None or recipes is None else bool(status or recipes)
    remote = (_git(folder, "config", "--get", "remote.origin.url") or "").strip()
    return RecipeSource(uri=git_uri(remote), commit=commit, dirty=dirty)


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git, which runs no hook and changes nothing; ``None`` if it fails."""
    environment = git_environment() | {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(
            ["git", "--no-pager", *_HARDENED, "-C", str(folder), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
            start_new_session=True,  # Ctrl-C is for this program.
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else None
