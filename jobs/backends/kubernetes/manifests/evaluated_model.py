"""The checks of a packaged model that a pod evaluates."""

from __future__ import annotations

import posixpath
import re

from starfreight.errors import RecipeError
from starfreight.recipe import Recipe
from starfreight.registry import parse_reference

_OCI = "oci://"
_PATH = re.compile(r"[A-Za-z0-9._/-]{1,500}")
"""Nothing that Kubernetes would expand, such as ``$(NAME)``."""


def check_model(recipe: Recipe, model: str) -> None:
    """Checks that pods can read a model, and the files of problems.

    Args:
        recipe: with ``evaluate``.
        model: a path on the volume of runs, or an ``oci://`` reference.

    Raises:
        RecipeError: they cannot.
    """
    options = recipe.run.kubernetes
    if options.nodes > 1 or recipe.sweep:
        raise RecipeError(
            "An evaluation runs in one pod.",
            where="key sweep" if recipe.sweep else "key run.kubernetes.nodes",
            fix="evaluate the variants one by one",
        )
    if model.startswith(_OCI):
        parse_reference(model.removeprefix(_OCI))
        return
    if options.runs_claim is None:
        raise RecipeError(
            "The pod has no volume with packages.",
            where="key run.kubernetes.runs_claim",
            fix="set it, or name the package by an oci:// reference",
        )
    found = posixpath.normpath(posixpath.join("/runs", model))
    if not _PATH.fullmatch(model) or not found.startswith("/runs/"):
        raise RecipeError(
            f"{model!r} is not a path on the volume of runs.",
            where="key evaluate.model",
            fix="name the package as on the volume, e.g. packages/acme-coder-0123456789, or by an oci:// "
            "reference",
        )
