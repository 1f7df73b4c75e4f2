"""A recipe's identity: its keys that differ from their defaults, and the version of its format.

    digest = sha256_bytes(canonical_json([identity(recipe, only=TRAINING), ...]))

A key written out with its default equals a key left out, at every level and in each item of a list. A key
added later with a default therefore changes no digest, and finished runs and packages are found again after
an upgrade. A changed default gives recipes without the key another meaning: it needs a new recipe version,
which every identity contains. ``tests/hall/test_recipe_defaults.py`` enforces this.

``evaluate``, ``package.quality`` and ``publish.sign`` are in no identity: they change no byte of an adapter
or a GGUF file, and may be added to the recipe of a finished run.

This is version 2 of the identity. Version 1 hashed every key: see :mod:`starfreight.recipe.identity_v1`.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from starfreight.files import canonical_json, sha256_bytes
from starfreight.recipe.identity_v1 import identity_v1
from starfreight.recipe.models import Recipe

TRAINING = frozenset({"base", "data", "training"})
"""The sections that an adapter depends on."""


def identity(
    recipe: Recipe, *, only: Set[str] | None = None, without: Set[str] = frozenset()
) -> dict[str, Any]:
    """The keys that differ from their defaults, as plain data, and ``version``.

    Values keep their units and resolved values count as written: a learning rate that replaced ``auto`` is
    part of the identity.

    Args:
        recipe: the recipe or one variant of it.
        only: the sections to include; all when ``None``.
        without: sections to leave out.
    """
    include = None if only is None else {"version", *only}
    made = recipe.without_evaluation()
    return made.model_dump(mode="json", exclude_defaults=True, include=include, exclude={*without})


def recipe_digest(recipe: Recipe) -> str:
    """The digest of a recipe's identity, whatever its spelling, order, comments and written-out defaults."""
    return sha256_bytes(canonical_json(identity(recipe)))


def earlier_recipe_digest(recipe: Recipe) -> str | None:
    """The digest by version 1 of the identity; ``None`` for a recipe with later keys."""
    whole = identity_v1(recipe)
    return None if whole is None else sha256_bytes(canonical_json(whole))
