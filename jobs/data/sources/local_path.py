"""Paths in the recipe's directory."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import RecipeError


def existing_path(source: str, folder: Path) -> Path:
    """Return the path of a source below ``folder``.

    Raises:
        RecipeError: it does not exist.
    """
    path = folder / source
    if not path.exists():
        raise RecipeError(
            f"The data source {source!r} does not exist.",
            where=f"key data.source, looked for at {path}",
            fix="correct the path, which is relative to the recipe's directory",
        )
    return path
