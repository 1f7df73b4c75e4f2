"""The id of a run, and its directory under this id or the one of an earlier version of the identity."""

from __future__ import annotations

from pathlib import Path

from starfreight.files import canonical_json, sha256_bytes
from starfreight.recipe import Recipe
from starfreight.recipe.identity import TRAINING, identity
from starfreight.recipe.identity_v1 import identity_v1
from starfreight.records import FileDigest
from starfreight.run import RUN_FILE, BaseInput

_DIGITS = 10


def run_id(recipe: Recipe, base: BaseInput, manifest: FileDigest) -> str:
    """The recipe's name and ten digits of a digest of the training's inputs.

    The inputs are the recipe's keys ``base``, ``data`` and ``training`` as far as they differ from their
    defaults, the files of the base model, and the data manifest.
    """
    return _name(recipe, [identity(recipe, only=TRAINING), base.digest, manifest.digest])


def earlier_run_id(recipe: Recipe, base: BaseInput, manifest: FileDigest) -> str | None:
    """The id by version 1 of the identity; ``None`` for a recipe with later keys."""
    keys = identity_v1(recipe, only=TRAINING)
    return None if keys is None else _name(recipe, [keys, base.digest, manifest.digest])


def run_folder(runs: Path, recipe: Recipe, base: BaseInput, manifest: FileDigest) -> Path:
    """The directory of a run: an existing one under either id, or else the one to create.

    Args:
        runs: the directory of all runs.
        recipe: without a sweep and without ``auto``.
        base: the base model.
        manifest: the data manifest.
    """
    folder = runs / run_id(recipe, base, manifest)
    earlier = earlier_run_id(recipe, base, manifest)
    if earlier is not None and not (folder / RUN_FILE).exists() and (runs / earlier / RUN_FILE).exists():
        return runs / earlier
    return folder


def _name(recipe: Recipe, inputs: list[object]) -> str:
    digest = sha256_bytes(canonical_json(inputs)).removeprefix("sha256:")
    return f"{recipe.name}-{digest[:_DIGITS]}"
