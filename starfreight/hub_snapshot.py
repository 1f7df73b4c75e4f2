"""Repositories of the Hugging Face hub at a commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starfreight.errors import InputError, ServiceError

NOT_SHOWN = (401, 403, 404, 410)
"""Statuses of the hub for what does not exist, or not for this user."""


def fetch_snapshot(name: str, revision: str, kind: str, patterns: tuple[str, ...] | None = None) -> Path:
    """A repository of the hub at a commit, from the local cache if possible.

    Args:
        name: ``organisation/name``.
        revision: the commit.
        kind: ``model`` or ``dataset``.
        patterns: patterns of the files to fetch; all when ``None``.

    Raises:
        InputError: no such repository or commit, or access denied.
        ServiceError: the hub does not answer.
    """
    from huggingface_hub import snapshot_download

    with hub_errors(name, revision, kind):
        return Path(
            snapshot_download(
                name, revision=revision, repo_type=kind, allow_patterns=list(patterns) if patterns else None
            )
        )


def cached_snapshot(name: str, revision: str, kind: str, patterns: tuple[str, ...]) -> Path | None:
    """The directory of a repository in the hub's local cache; ``None`` if a file is not there, or unknown.

    Args:
        name: ``organisation/name``.
        revision: the commit.
        kind: ``model`` or ``dataset``.
        patterns: patterns of the files that are needed.
    """
    from huggingface_hub import snapshot_download

    # No such directory, an incomplete one, or a malformed name: fetching it has the errors for all of them.
    try:
        return Path(
            snapshot_download(
                name, revision=revision, repo_type=kind, allow_patterns=list(patterns), local_files_only=True
            )
        )
    except (OSError, ValueError):
        return None


def hub_cache() -> Path:
    """The directory of the hub's local cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


@contextmanager
def hub_errors(name: str, revision: str, kind: str) -> Iterator[None]:
    """Turn the errors of the hub's client into ours.

    Raises:
        InputError: no such repository or commit, or access denied.
        ServiceError: the hub does not answer.
    """
    from huggingface_hub.errors import HFValidationError

    where = f"{name} at {revision}"
    try:
        yield
    # The errors of the hub's client and its HTTP library have no common base class.
    except Exception as error:
        cause = error.__cause__ or error
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status in NOT_SHOWN or isinstance(error, HFValidationError):
            raise InputError(
                f"The hub has no such {kind}, or denies access to it.",
                where=where,
                fix=f"check the name and the revision; for a gated {kind}, accept its terms and set HF_TOKEN",
            ) from error
        reason = type(cause).__name__ + (f", status {status}" if status else "")
        raise ServiceError(
            f"The {kind} could not be fetched from the hub ({reason}).",
            where=where,
            fix="check the network and run the same command again, or name a local directory",
        ) from error
