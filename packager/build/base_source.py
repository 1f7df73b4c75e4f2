"""Chooses the source of a base model's weights: this machine, or the hub or a registry while pressing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from starfreight.base_artifact import MODEL_FILES, is_artifact
from starfreight.base_model import local_base, locate_base
from starfreight.checkpoint import StreamedBase, read_config
from starfreight.checkpoint.files import weight_files
from starfreight.console import Console, human_count
from starfreight.errors import InputError
from starfreight.hub_snapshot import cached_snapshot, hub_cache
from starfreight.packager.press import predict_size
from starfreight.quantization import Quantization
from starfreight.recipe import Base
from starfreight.remote_weights import open_streamed
from starfreight.user_cache import cache_folder


@dataclass(frozen=True)
class Streaming:
    """When to read the weights at their source.

    Attributes:
        choice: true to do so unless they are on this machine; false to download them; ``None`` to do so if
            the disk has no room for a download.
        out: the directory of the files to be made.
        quantizations: those files; empty if they are not kept.
    """

    choice: bool | None = None
    out: Path = Path()
    quantizations: Iterable[Quantization] = ()


def find_base(base: Base, folder: Path, streaming: Streaming, console: Console) -> Path | StreamedBase:
    """A base model on this machine, downloaded, or streamed.

    Args:
        base: the recipe's base model.
        folder: the directory where the recipe's relative paths start.
        streaming: when to stream it.
        console: says that it is streamed.

    Raises:
        RecipeError: neither a directory nor a hub id, or a hub id without a commit.
        InputError: the hub or the registry has no such model, or denies access to it.
        GateError: the registry sends bytes with another digest.
        ServiceError: the hub or the registry does not answer.
    """
    if (here := local_base(base, folder)) is not None:
        return here
    if not is_artifact(base.model):
        cached = cached_snapshot(base.model, str(base.revision), "model", MODEL_FILES)
        if cached is not None and _has_weights(cached):
            return cached
    if streaming.choice is False:
        return locate_base(base, folder)
    streamed = open_streamed(base)
    if _has_weights(streamed.folder):
        return streamed.folder  # Only small files were missing in the hub's cache.
    size = sum(streamed.weights.sizes.values())
    if streaming.choice is None:
        cache = _existing(cache_folder("models") if is_artifact(base.model) else hub_cache())
        free = shutil.disk_usage(cache).free
        if free >= size + _size_beside(streamed, cache, streaming):
            return locate_base(base, folder)
        console.note(f"{cache} has {human_count(free, 'B')} free, too little for the base beside the files.")
    console.note(
        f"The base's weights ({human_count(size, 'B')}) are read at their source: once to check them, and "
        "again to press them."
    )
    return streamed


def _has_weights(folder: Path) -> bool:
    """False for the cache's directory of a model that was streamed, or downloaded in part."""
    try:
        return bool(weight_files(folder))
    except InputError:
        return False


def _size_beside(base: StreamedBase, cache: Path, streaming: Streaming) -> int:
    """Bytes of the files to be made, if they will be on the disk of the cache."""
    if _existing(streaming.out).stat().st_dev != cache.stat().st_dev:
        return 0
    shape = read_config(base.folder / "config.json")
    return sum(predict_size(shape, each) for each in streaming.quantizations)


def _existing(folder: Path) -> Path:
    """The directory, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.is_dir())
