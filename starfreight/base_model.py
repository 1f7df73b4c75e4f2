"""Where a recipe's base model lies: a folder, the hub's cache, or the one that ships with Starfreight."""

from __future__ import annotations

import re
from pathlib import Path

from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.recipe import Base

STARTER = "builtin:starter"
STARTER_FOLDER = Path(__file__).with_name("starter")

_LICENSES = {STARTER: "PSF-2.0"}
_BIGCODE = "LicenseRef-BigCode-OpenRAIL-M"

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_NOT_SHOWN = (401, 403, 404, 410)
HUB_FILES = ("*.json", "*.safetensors", "LICENSE*", "merges.txt", "vocab.json")


def known_license(base: Base) -> str | None:
    """The base model's license: the recipe's word, or what is known of the models that it names."""
    if base.license is None and base.model.startswith("bigcode/starcoder"):
        return _BIGCODE
    return base.license or _LICENSES.get(base.model)


def locate_base(base: Base, folder: Path, files: tuple[str, ...] = HUB_FILES) -> Path:
    """The local folder of a base model, which is fetched from the hub when it has to be.

    The hub's token is read from the environment (``HF_TOKEN``) by huggingface_hub and stored nowhere.

    Args:
        base: the recipe's base model.
        folder: where the recipe's relative paths start.
        files: patterns of what is fetched from the hub.

    Raises:
        RecipeError: neither a folder nor a hub id, or a hub id without a commit.
        ServiceError: the hub does not answer, or refuses.
    """
    if base.model.startswith("builtin:"):
        return builtin_folder(base.model, "key base.model")
    local = folder / base.model
    if local.is_dir():
        return local.resolve()
    if base.model.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(base.model):
        raise RecipeError(
            f"The base model {base.model!r} is no folder.",
            where=f"key base.model, looked for at {local}",
            fix="correct the path, or write a hub id such as bigcode/starcoder2-3b with its revision",
        )
    if base.revision is None:
        raise RecipeError(
            f"The hub id {base.model!r} has no revision.",
            where="key base.revision",
            fix="add the commit (40 hex digits) that you mean: what a name points to can change",
        )
    return fetch_snapshot(base.model, base.revision, "model", files)


def builtin_folder(model: str, where: str | None = None) -> Path:
    """The folder of a model that ships with Starfreight.

    Args:
        model: ``builtin:`` and a name.
        where: what an error names as its place.

    Raises:
        RecipeError: there is no such one.
    """
    if model != STARTER:
        raise RecipeError(f"There is no built-in model {model!r}.", where=where, fix=f"write {STARTER}")
    return STARTER_FOLDER


def fetch_snapshot(name: str, revision: str, kind: str, patterns: tuple[str, ...] | None = None) -> Path:
    """A repository of the hub at a commit, from the local cache when it is there.

    Args:
        name: ``organisation/name``.
        revision: the commit.
        kind: ``model`` or ``dataset``.
        patterns: the files to take; all when ``None``.

    Raises:
        InputError: no such repository or commit, or no access to it.
        ServiceError: the hub does not answer.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    where = f"{name} at {revision}"
    try:
        return Path(
            snapshot_download(
                name, revision=revision, repo_type=kind, allow_patterns=list(patterns) if patterns else None
            )
        )
    # Whatever the hub's client raises, its HTTP library's errors among them, which have no common class.
    except Exception as error:
        cause = error.__cause__ or error
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status in _NOT_SHOWN or isinstance(error, HFValidationError):
            raise InputError(
                f"The hub has no such {kind}, or does not show it to you.",
                where=where,
                fix="check the name and the revision; for a gated one accept its terms and set HF_TOKEN",
            ) from error
        reason = type(cause).__name__ + (f", status {status}" if status else "")
        raise ServiceError(
            f"The {kind} could not be fetched from the hub ({reason}).",
            where=where,
            fix="check the network, run the same command again, or name a local folder",
        ) from error


def public_name(model: str) -> str:
    """What a recipe's base model is called outside this machine: a folder by its last name only."""
    return Path(model).name if model.startswith((".", "/", "~")) else model
