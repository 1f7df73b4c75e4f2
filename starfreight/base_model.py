"""Locating a recipe's base model: a directory, the hub, a registry, or the one shipped with Starfreight."""

from __future__ import annotations

import re
from pathlib import Path

from starfreight.base_artifact import MODEL_FILES, cached_base, fetch_base_artifact, is_artifact
from starfreight.errors import RecipeError
from starfreight.hub_snapshot import fetch_snapshot
from starfreight.recipe import Base

STARTER = "builtin:starter"
STARTER_FOLDER = Path(__file__).with_name("starter")

_LICENSES = {STARTER: "PSF-2.0"}
_BIGCODE = "LicenseRef-BigCode-OpenRAIL-M"

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
"""The name of a model on the hub: ``ORGANISATION/NAME``."""


def known_license(base: Base) -> str | None:
    """The base model's license: from the recipe, or the known license of a well-known model."""
    if base.license is None and base.model.startswith("bigcode/starcoder"):
        return _BIGCODE
    return base.license or _LICENSES.get(base.model)


def locate_base(base: Base, folder: Path, files: tuple[str, ...] = MODEL_FILES) -> Path:
    """The local directory of a base model, fetched from the hub or a registry if necessary.

    huggingface_hub reads the hub's token from the environment (``HF_TOKEN``); it is never stored.

    Args:
        base: the recipe's base model.
        folder: the directory where the recipe's relative paths start.
        files: patterns of the files to fetch from the hub.

    Raises:
        RecipeError: neither a directory nor a hub id, or a hub id without a commit.
        InputError: the hub or the registry has no such model, or denies access to it.
        GateError: the registry sends bytes with another digest.
        ServiceError: the hub or the registry does not answer.
    """
    local = local_base(base, folder)
    if local is not None:
        return local
    if is_artifact(base.model):
        return fetch_base_artifact(base.model, weights="*.safetensors" in files)
    return fetch_snapshot(base.model, str(base.revision), "model", files)


def local_base(base: Base, folder: Path) -> Path | None:
    """The local directory of a base model; ``None`` if it has to be fetched. Nothing is fetched here.

    Args:
        base: the recipe's base model.
        folder: the directory where the recipe's relative paths start.

    Raises:
        RecipeError: neither a directory nor a hub id, or a hub id without a commit.
    """
    if base.model.startswith("builtin:"):
        return builtin_folder(base.model, "key base.model")
    if is_artifact(base.model):
        if base.revision is not None:
            raise RecipeError(
                "The base model has a revision in addition to its digest.",
                where="key base.revision",
                fix="remove the key",
            )
        return cached_base(base.model, weights=True)
    local = folder / base.model
    if local.is_dir():
        return local.resolve()
    model, at, _ = base.model.rpartition("@")
    if at and HUB_ID.fullmatch(model):
        raise RecipeError(
            f"The base model {base.model!r} has its revision in its name.",
            where="key base.model",
            fix=f"write model: {model}, and the commit (40 hex digits) under base.revision",
        )
    if base.model.startswith((".", "/", "~")) or not HUB_ID.fullmatch(base.model):
        raise RecipeError(
            f"The base model {base.model!r} is not a directory.",
            where=f"key base.model, looked for at {local}",
            fix="correct the path, or write a hub id such as bigcode/starcoder2-3b with its revision",
        )
    if base.revision is None:
        raise RecipeError(
            f"The hub id {base.model!r} has no revision.",
            where="key base.revision",
            fix="add the commit (40 hex digits): a branch or a tag can move",
        )
    return None


def builtin_folder(model: str, where: str | None = None) -> Path:
    """The directory of a model shipped with Starfreight.

    Args:
        model: ``builtin:`` followed by a name.
        where: the ``where`` of errors.

    Raises:
        RecipeError: no such built-in model.
    """
    if model != STARTER:
        raise RecipeError(f"There is no built-in model {model!r}.", where=where, fix=f"use {STARTER}")
    return STARTER_FOLDER


def public_name(model: str) -> str:
    """A base model's name for use outside this machine: for a local directory, its last part only."""
    return Path(model).name if model.startswith((".", "/", "~")) else model
