"""Inputs of a recipe that are on this machine: local paths and fetched copies. Nothing is fetched here."""

from __future__ import annotations

import os
from pathlib import Path

from starfreight.base_artifact import cached_base, is_artifact
from starfreight.base_model import local_base
from starfreight.console import Console
from starfreight.jobs.data.sources import kind_of
from starfreight.recipe import Base, Data
from starfreight.user_cache import cache_folder


def base_here(base: Base, folder: Path) -> Path | None:
    """The local directory of a base model, also in a cache; ``None`` if it is not here.

    A directory of the cache may lack files.

    Args:
        base: the recipe's base model.
        folder: the directory where the recipe's relative paths start.

    Raises:
        RecipeError: neither a directory nor a hub id, or a hub id without a commit.
    """
    if (local := local_base(base, folder)) is not None:
        return local
    if is_artifact(base.model):
        return cached_base(base.model, weights=False)
    return _hub_snapshot("models", base.model, str(base.revision))


def source_here(data: Data, folder: Path, console: Console) -> Path | None:
    """The local file or directory of a valid source; ``None`` if it has to be fetched.

    Args:
        data: the source.
        folder: the directory where the recipe's relative paths start.
        console: for the kind of source.

    Raises:
        StarfreightError: as :func:`starfreight.jobs.data.sources.locate_source`.
    """
    kind = kind_of(data.source, folder / data.source)
    name = data.source.rpartition(":")[2]
    if data.source.startswith("dataset:") and kind.is_remote(data.source) and not (folder / name).is_dir():
        return _hub_snapshot("datasets", name, str(data.revision))
    if data.source.startswith("git:") and not _is_cached_commit(data, folder):
        return None
    digest = data.source.rpartition("@sha256:")[2]
    if data.source.startswith("oci://") and not (cache_folder("oci") / digest).is_dir():
        return None
    return kind.locate(data, folder, console)


def _is_cached_commit(data: Data, folder: Path) -> bool:
    from starfreight.jobs.data.sources.git_address import parse_git_address
    from starfreight.jobs.data.sources.git_cache import commit_folder

    address = parse_git_address(data.source.removeprefix("git:"), folder)
    return commit_folder(address, str(data.revision)).is_dir()


def _hub_snapshot(kind: str, name: str, revision: str) -> Path | None:
    """The directory of a commit in the hub's cache, in the layout that huggingface_hub documents."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    found = cache / f"{kind}--{name.replace('/', '--')}" / "snapshots" / revision
    return found if found.is_dir() else None
